#!/bin/sh
# Tags, holds and releases: records that are signed, chained and never taken back; who may release; what is damaged, forged or removed. Signatures and
# hashes are looked at with ssh-keygen and sha256sum. Prints TAP. BKD_BIN is the directory of bkd and bkd-restore.
. "$(dirname "$0")/lib.sh"

signer_of() { cut -d ' ' -f 2 "$1" | base64 -d | sha256sum | cut -c 1-64; }
held() { run_bkd snapshots p --json | grep -c '"held":true'; } # how many snapshots are
# ssh_verifies RECORD NAMESPACE PRINCIPAL: as doc/FORMAT.md says, without bkd.
ssh_verifies() {
    awk '/^-----BEGIN SSH SIGNATURE-----$/ { exit } { print }' "$1" >"$tree/text"
    awk '/^-----BEGIN SSH SIGNATURE-----$/ { s = 1 } s' "$1" >"$tree/sig"
    ssh-keygen -Y verify -f "$config/keys/allowed_signers" -I "$3" -n "$2" -s "$tree/sig" <"$tree/text"
}
# sign_record TEXT-FILE KEY NAMESPACE OUT: a record that somebody makes by hand.
sign_record() {
    rm -f "$1.sig"
    ssh-keygen -q -Y sign -f "$2" -n "$3" "$1" 2>/dev/null
    mkdir -p "$(dirname "$4")"
    cat "$1" "$1.sig" >"$4"
}

# --- tags -----------------------------------------------------------------------------------------------------------------------
host tags '{recipients: recipients.txt}'
seq 1 1000 >"$source/file"
is 0 "init" run_bkd init p
is 2 "a tag of two words" run_bkd backup p --tag "two words"
is 2 "a tag that is a number" run_bkd backup p --tag 12
is 2 "a tag that means something else" run_bkd backup p --tag latest~1
is 0 "none of them made a snapshot" test "$(snapshots)" = 0
is 0 "a backup with a tag" backup --tag change-1234
if grep -rqx 'tag change-1234' "$repo/heads"; then ok "the tag stands in the head"; else bad "the tag stands in the head"; fi
echo more >>"$source/file"
is 0 "another backup" backup
is 0 "a tag later" run_bkd tag p latest golden
is 0 "the same again writes nothing" run_bkd tag p 2 golden
says "and says so" 'had already'
host_signer=$(signer_of "$config/keys/signing.pub")
is 0 "one record there is" test "$(ls "$repo/records/$host_signer" | tr '\n' ' ')" = "1 "
is 0 "ssh-keygen verifies it" ssh_verifies "$repo/records/$host_signer/1" bkd-record@v1 "bkd@$(hostname)"
if [ "$(sed -n 's/^head //p' "$tree/text")" = "$(sha256sum <"$(echo "$repo"/heads/*/2)" | cut -c 1-64)" ]; then ok "it names the head by its hash"; else bad "it names the head by its hash"; fi
is 0 "snapshots" run_bkd snapshots p
says "shows the tag of the head" '^ +1 .* change-1234$'
says "and of the record" '^ +2 .* golden$'
is 0 "bkd-restore list" recover list
says "shows them too" '^ +2 .* golden$'
is 0 "ls by tag" run_bkd ls p golden
is 0 "diff by tag" run_bkd diff p change-1234 golden -i "$config/keys/operations.txt"
says "finds what changed" '^M f .*/file  \(content '
is 0 "restore by tag" restore change-1234
seq 1 1000 | cmp -s - "$tree/restored$source/file" && ok "it is the snapshot with the tag" || bad "it is the snapshot with the tag"
is 1 "an unknown tag" run_bkd ls p chang-1234
says "says what there may be" "there is no snapshot 'chang-1234'"
is 0 "the tag of another snapshot" run_bkd tag p 1 golden
says "warns" "snapshot 2 has the tag 'golden', too"
is 2 "a tag of two snapshots" run_bkd ls p golden
says "lists both" 'say which by its number: 1 \(.*\), 2 \('
is 2 "in bkd-restore too" recover ls golden

# --- holds ----------------------------------------------------------------------------------------------------------------------
host holds '{recipients: recipients.txt}'
host_signer=$(signer_of "$config/keys/signing.pub")
seq 1 1000 >"$source/file"
is 0 "init" run_bkd init p
is 5 "status before the first snapshot" run_bkd status p
is 0 "a backup that is held" run_bkd backup p --tag change-7 --hold-reason "move to the new disk"
is 0 "it is" run_bkd snapshots p
says "with its reason" 'change-7  held \(move to the new disk\)$'
is 0 "--json" run_bkd snapshots p --json
says "has it all" '"tags":\["change-7"\],"held":true,"holds":\[\{"reason":"move to the new disk","by":"[^"]*@[^"]*","time":"'
is 0 "a dry run holds nothing" run_bkd backup p --hold --dry-run
is 0 "a second snapshot" backup
is 0 "hold it" run_bkd hold p latest
is 0 "hold it again" run_bkd hold p 2
says "says so" 'is held already'
is 0 "hold it for another reason" run_bkd hold p 2 --reason "legal"
is 0 "two snapshots are held" test "$(held)" = 2
is 0 "status" run_bkd status p
says "says so" '2 of its snapshots are'
is 0 "check" run_bkd check p
is 9 "the host's own key cannot release" run_bkd release p change-7 --key "$config/keys/signing"
says "says why" "may not sign for this purpose"
mv "$config/keys/retention" "$tree/retention"
is 9 "without the retention key" run_bkd release p change-7
says "says where it is" 'run this where the key is kept, or give it with --key FILE'
ssh-keygen -q -t ed25519 -N '' -f "$tree/stranger"
is 9 "a stranger's key" run_bkd release p change-7 --key "$tree/stranger"
is 0 "still two are held" test "$(held)" = 2
is 0 "the retention key releases" run_bkd release p change-7 --key "$tree/retention" --reason "went well" --json
says "the summary" '"snapshot":1,"held":false,"written":1'
is 0 "one is held" test "$(held)" = 1
is 0 "releasing what is not held" run_bkd release p change-7
says "says so" 'is not held'
is 0 "one release ends both holds of the other" run_bkd release p 2 --key "$tree/retention"
is 0 "none is held" test "$(held)" = 0
retention_signer=$(signer_of "$config/keys/retention.pub")
is 0 "ssh-keygen verifies a release" ssh_verifies "$repo/records/$retention_signer/1" bkd-retention@v1 "bkd-retention@$(hostname)"
is 0 "held anew" run_bkd hold p change-7 --reason again
is 0 "is held" test "$(held)" = 1
is 0 "check is content" run_bkd check p --json
says "and counted the records" '"records":6,'

# --- a hold that cannot be written: the snapshot stands, the run does not end well ------------------------------------------------
sed -i 's/bkd-record@v1,//' "$config/keys/allowed_signers"
is 9 "a key that may not sign holds is noticed before the run" run_bkd backup p --hold
says "names the remedy" "add 'bkd-record@v1'"
is 0 "and no snapshot was made" test "$(snapshots)" = 2
sed -i 's/bkd-recover@v1/bkd-recover@v1,bkd-record@v1/' "$config/keys/allowed_signers"
if [ "$(id -u)" = 0 ]; then
    chattr +i "$repo/records/$host_signer" 2>/dev/null && locked=yes || locked=no
else
    chmod a-w "$repo/records/$host_signer" && locked=yes
fi
if [ "$locked" = yes ]; then
    is 1 "a hold that cannot be written" run_bkd backup p --hold --tag left --json
    says "says what stands and what to do" 'snapshot 3 is committed but NOT held \(try `bkd hold p 3`\)'
    says "the summary as well" '"snapshot":3,"held":false'
    chattr -i "$repo/records/$host_signer" 2>/dev/null
    chmod u+w "$repo/records/$host_signer"
    is 0 "the snapshot is there" run_bkd ls p left
    is 0 "and can be held" run_bkd hold p left
else
    ok "a hold that cannot be written # SKIP chattr does not work here"
fi

# --- forged, torn, removed ---------------------------------------------------------------------------------------------------------
cp -a "$repo" "$tree/whole"
again() { rm -rf "$repo"; cp -a "$tree/whole" "$repo"; }
record=$repo/records/$host_signer
last=$(ls "$record" | sort -n | tail -n 1)
hold_hash=$(sha256sum <"$record/$last" | cut -c 1-64)
forge() { # KEY NAMESPACE SIGNER NUMBER: a release of the last hold
    { sed -n '1,2p' "$record/$last"; echo "number $4"; echo "previous $(printf '%064d' 0)"; sed -n '5,6p' "$record/$last"; echo 'kind release'
      sed -n '8,10p' "$record/$last"; echo "hold $hold_hash"; echo 'reason -'; } >"$tree/forged"
    sign_record "$tree/forged" "$1" "$2" "$repo/records/$3/$4"
}
before=$(held)
forge "$config/keys/signing" bkd-retention@v1 "$host_signer" 90
is 0 "a release that a break-in on the host could sign releases nothing" test "$(held)" = "$before"
is 4 "and is an alarm" run_bkd check p
says "which names it" "records/$host_signer/90: .*may not sign for this purpose"
is 4 "status says so, too" run_bkd status p
again
forge "$config/keys/signing" bkd-record@v1 "$host_signer" 90
is 0 "nor does one for the wrong purpose" test "$(held)" = "$before"
again
forge "$tree/stranger" bkd-retention@v1 "$(signer_of "$tree/stranger.pub")" 1
is 0 "nor a stranger's" test "$(held)" = "$before"
is 4 "which is an alarm for bkd-restore" recover check
says "that names the reason" 'not among the signers'
again
forge "$tree/retention" bkd-retention@v1 "$retention_signer" 3
is 0 "the same by the right key does (the hand-made record is a good one)" test "$(held)" = $((before - 1))
is 4 "but its predecessor is wrong, and check says so" run_bkd check p
says "as a fork and a break" 'has the same predecessor|does not continue'
again
sed -i 's/^reason .*/reason forged/' "$record/$last"
is 4 "a changed record" run_bkd check p
says "is named" "records/$host_signer/$last: .*altered"
again
truncate -s 200 "$record/$last"
is 4 "a torn record" run_bkd check p
is 0 "is passed over by the next" run_bkd hold p 3 --reason "after the torn one"
is 0 "which has the next number" test -f "$record/$((last + 1))"
is 0 "and continues the last good one" grep -qx "previous $(sha256sum <"$record/$((last - 1))" | cut -c 1-64)" "$record/$((last + 1))"
again
rm "$record/1"
is 4 "a record that was removed" run_bkd check p
says "shows in the one after it" 'records were removed or exchanged'
again
cp "$record/1" "$record/77"
is 4 "a record under another number" run_bkd check p
says "is not believed" 'is not the record its name says'
again
mkdir "$repo/records/odd"
echo x >"$repo/records/odd/1"
is 0 "a file that is no record" run_bkd check p
says "is a note" 'records/odd/1: is not a file bkd stores'
again

# --- several at once: each takes a number of its own --------------------------------------------------------------------------------
for i in 1 2 3 4 5 6; do run_bkd tag p 1 "at-once-$i" -q 2>"$tree/err-$i" & done
wait
run_bkd snapshots p >"$tree/out"
for i in 1 2 3 4 5 6; do grep -q "at-once-$i" "$tree/out" || { cat "$tree/err-$i" >>"$tree/out"; lost=yes; }; done
[ -z "${lost-}" ] && ok "six tags at once are all there" || bad "six tags at once are all there"
is 0 "and follow one another" run_bkd check p
finish
