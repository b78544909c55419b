"""Random cycles: two policies share a repository and two copies; they are backed up, changed, pruned, shipped, held, copied, killed at any moment, their
clock jumps, state and copies are lost. A model on the side keeps a copy of the source for each snapshot: whatever a place lists must restore to that.

cycles.py DIRECTORY SEED CYCLES BIN FAKETIME-LIBRARY age|none; the last line is "done" when all held, else what did not.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

HOUR, DAY = 3600, 86400
KEPT = 3, 2  # newest snapshots that the rules keep: in the repository, in the copy with rules of its own
ENCRYPTION = {"age": "{recipients: recipients.txt}", "none": "none"}
DONE, INCOMPLETE, ALARM, KILLED = 0, 3, 4, -signal.SIGKILL


class Mismatch(Exception):
    pass


class Host:
    """bkd with its configuration, under a clock that the cycles move."""

    def __init__(self, top, binaries, faketime, encryption):
        self.top, self.binaries, self.faketime = top, binaries, faketime
        self.offset = 0
        self.repository, self.pruned_copy, self.copy = (f"{top}/{name}" for name in ("repository", "pruned-copy", "copy"))
        os.makedirs(f"{top}/config/policies")
        self.expect(["keys", "init"])
        for policy in "pq":
            os.makedirs(self.source(policy))
            with open(f"{top}/config/policies/{policy}.yaml", "w") as out:
                out.write(
                    f"description: cycles\nsources:\n  - path: {self.source(policy)}\nrepository: {self.repository}\nencryption: {ENCRYPTION[encryption]}\n"
                    f"keep: {{last: {KEPT[0]}, daily: 2}}\ngrace: 1h\noffsite:\n  - {{url: {self.pruned_copy}, keep: {{last: {KEPT[1]}}}}}\n  - {{url: {self.copy}}}\n"
                )
        self.expect(["init", "p"])

    def source(self, policy):
        return f"{self.top}/source-{policy}"

    def environment(self):
        return dict(os.environ, LD_PRELOAD=self.faketime, FAKETIME=f"{self.offset:+d}s", FAKETIME_DONT_RESET="1", FAKETIME_NO_CACHE="1", NO_FAKE_STAT="1")

    def start(self, command):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment(), start_new_session=True)

    def bkd_command(self, arguments):
        return [f"{self.binaries}/bkd", "--config-dir", f"{self.top}/config", "--state-dir", f"{self.top}/state", *arguments]

    def bkd(self, arguments, kill_after=None):
        """Exit status (KILLED when it was) and what it said."""
        process = self.start(self.bkd_command(arguments))
        try:
            said, _ = process.communicate(timeout=kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
        return process.returncode, said.decode("utf8", "replace")

    def expect(self, arguments):
        status, said = self.bkd(arguments)
        if status != DONE:
            raise Mismatch(f"bkd {' '.join(arguments)}: exit {status}\n{said}")

    def restore(self, place, *arguments):
        keys = f"{self.top}/config/keys"
        process = self.start([f"{self.binaries}/bkd-restore", "-r", place, "-i", f"{keys}/operations.txt", "-s", f"{keys}/allowed_signers", *arguments])
        said, _ = process.communicate()
        return process.returncode, said.decode("utf8", "replace")


def heads(place):
    """{(policy, number): refs}, read from the files of the place, not by bkd."""
    found = {}
    for directory, _, names in os.walk(f"{place}/heads"):
        for name in filter(str.isdigit, names):
            with open(f"{directory}/{name}", "rb") as head:
                words = dict(line.split(b" ", 2)[:2] for line in head.read().split(b"\n") if line.count(b" ") >= 1)
            found[words[b"policy"].decode(), int(name)] = words[b"refs"].decode()
    return found


class Model:
    """What each snapshot must hold, and which are held."""

    def __init__(self, host, rng):
        self.host, self.rng = host, rng
        self.saved, self.held = {}, set()
        self.contents = [rng.randbytes(rng.choice([100, 3000, 60000, 300000])) for _ in range(12)]

    def change_source(self, policy):
        for _ in range(self.rng.randint(0, 6)):
            self.change_one(self.host.source(policy))

    def change_one(self, source):
        rng, name = self.rng, f"{source}/f{self.rng.randint(0, 25)}"
        what = rng.choice(["content", "content", "noise", "remove", "patch", "patch", "rename", "big"])
        if what == "big":
            patch(rng, f"{source}/big", 6_000_000, 4096, 5)
        elif what == "content" or not os.path.exists(name):
            write(name, rng.choice(self.contents))
            if rng.random() < 0.5:
                os.utime(name, (10**9, 10**9))
        elif what == "noise":
            write(name, rng.randbytes(rng.choice([0, 10, 5000, 200000])))
        elif what == "remove":
            os.unlink(name)
        elif what == "patch":
            patch(rng, name, os.path.getsize(name), rng.randint(1, 2000), 1)
        else:
            os.rename(name, f"{source}/f{rng.randint(0, 25)}")

    def backup(self, policy, kill_after=None):
        self.change_source(policy)
        kept = f"{self.host.top}/saved/{len(os.listdir(f'{self.host.top}/saved'))}-{self.rng.random()}"
        subprocess.check_call(["cp", "-a", self.host.source(policy), kept])
        before = heads(self.host.repository)
        status, said = self.host.bkd(["backup", policy, "-q"], kill_after)
        new = [key for key in heads(self.host.repository) if key not in before and key[0] == policy]
        for key in new:
            self.saved[key] = kept
        if not new:
            shutil.rmtree(kept)
        return status, said

    def check_place(self, place, all_of_it):
        there = heads(place)
        if not there:
            return
        status, said = self.host.restore(place, "list", "--json")
        if status not in (DONE, INCOMPLETE):
            raise Mismatch(f"list of {place}: exit {status}\n{said}")
        listed = [json.loads(line) for line in said.splitlines() if '"type":"snapshot"' in line]
        for policy in "pq":
            here = {line.get("number", line.get("snapshot")) for line in listed if line["policy"] == policy}
            self.check_kept(place, policy, sorted(number for p, number in there if p == policy), here, there)
            for number in sorted(here):
                if all_of_it or self.rng.random() < 0.2:
                    self.check_snapshot(place, policy, number)
        if all_of_it:
            status, said = self.host.restore(place, "check", "--read-data")
            if status != DONE:
                raise Mismatch(f"check of {place}: exit {status}\n{said}")

    def check_kept(self, place, policy, numbers, here, there):
        if place == self.host.repository:
            lacking = [number for number in numbers[-KEPT[0] :] if number not in here]
            lacking += [n for p, n in self.held if p == policy and n in numbers and n not in here and not os.path.exists(f"{place}/refs/{there[p, n]}")]
        else:
            lacking = [] if place != self.host.pruned_copy else [number for number in numbers[-1:] if number not in here]
        if lacking:
            raise Mismatch(f"{place} lacks {policy} {lacking} of {numbers}: there are {sorted(here)}")

    def check_snapshot(self, place, policy, number):
        target = f"{self.host.top}/restored"
        shutil.rmtree(target, ignore_errors=True)
        status, said = self.host.restore(place, "restore", str(number), "--policy", policy, "--target", target, "-q")
        if status != DONE:
            raise Mismatch(f"restore of {policy} {number} from {place}: exit {status}\n{said}")
        if (policy, number) not in self.saved:
            raise Mismatch(f"{place} lists {policy} {number}, which was never committed")
        different = subprocess.run(["diff", "-r", "--no-dereference", self.saved[policy, number], target + self.host.source(policy)], capture_output=True, text=True)
        if different.returncode:
            raise Mismatch(f"{policy} {number} from {place} differs\n{different.stdout}")


def write(name, data):
    with open(name, "wb") as out:
        out.write(data)


def patch(rng, name, size, length, times):
    if not os.path.exists(name):
        write(name, rng.randbytes(size))
    with open(name, "r+b") as out:
        for _ in range(times):
            out.seek(rng.randint(0, size))
            out.write(rng.randbytes(length))


# ---- what may happen in a cycle; each returns exit status and output of what matters


def do_backup(model, policy, kill_after):
    return model.backup(policy, kill_after)


def do_prune(model, policy, kill_after):
    host = model.host
    return host.bkd(["prune", policy, *model.rng.choice([[], ["--all"], ["--at", host.pruned_copy], ["--clock-is-right"]])], kill_after)


def do_prune_store(model, _policy, kill_after):
    host = model.host
    if not os.path.exists(f"{host.pruned_copy}/bkd-repository"):
        return DONE, ""
    return host.bkd(["prune", "--store", host.pruned_copy, "--signers", f"{host.top}/config/keys/allowed_signers"], kill_after)


def do_ship(model, policy, kill_after):
    return model.host.bkd(["ship", policy], kill_after)


def do_prune_beside_backup(model, policy, _kill_after):
    host = model.host
    pruning = host.start(["sh", "-c", f'sleep {model.rng.random() * 0.3}; exec "$@"', "sh", *host.bkd_command(["prune", policy, "--all"])])
    host.offset += 2 * HOUR
    result = model.backup(policy)
    pruning.communicate()
    return result


def do_wait(model, _policy, _kill_after):
    model.host.offset += model.rng.choice([60, HOUR + 100, 2 * HOUR, DAY, 3 * DAY, 20 * DAY])
    return DONE, ""


def do_clock_behind(model, policy, _kill_after):
    host = model.host
    right = host.offset
    host.offset -= model.rng.choice([HOUR // 2, 25 * HOUR, 400 * DAY])
    model.backup(policy)
    status, said = host.bkd(["prune", policy])
    host.offset = right
    if status == DONE and "given up now" in said:
        raise Mismatch(f"a clock that was behind gave snapshots up\n{said}")
    return DONE, ""


def do_hold(model, policy, _kill_after):
    numbers = sorted(number for p, number in heads(model.host.repository) if p == policy)
    if numbers:
        number = model.rng.choice(numbers)
        if model.host.bkd(["hold", policy, str(number)])[0] == DONE:
            model.held.add((policy, number))
    return DONE, ""


def do_release(model, _policy, _kill_after):
    if model.held:
        policy, number = model.rng.choice(sorted(model.held))
        model.host.bkd(["release", policy, str(number)])
        model.held.discard((policy, number))
    return DONE, ""


def do_lose_state(model, _policy, _kill_after):
    shutil.rmtree(f"{model.host.top}/state", ignore_errors=True)
    return DONE, ""


def do_lose_copy(model, _policy, _kill_after):
    shutil.rmtree(model.host.copy, ignore_errors=True)
    for policy in "pq":
        model.host.bkd(["ship", policy, "--to", model.host.copy, "--init"])
    return DONE, ""


def do_copy(model, _policy, _kill_after):
    place = f"{model.host.top}/another"
    shutil.rmtree(place, ignore_errors=True)
    status, said = model.host.bkd(["copy", model.host.repository, place])
    if status in (DONE, INCOMPLETE):
        model.check_place(place, False)
    return status, said


def do_check(model, _policy, _kill_after):
    for place in (model.host.repository, model.host.pruned_copy, model.host.copy):
        model.check_place(place, model.rng.random() < 0.4)
    return DONE, ""


CYCLES = {
    do_backup: 38, do_prune: 24, do_ship: 6, do_prune_beside_backup: 4, do_wait: 8, do_clock_behind: 1, do_hold: 3, do_release: 3,
    do_lose_state: 2, do_prune_store: 4, do_lose_copy: 1, do_copy: 1, do_check: 5,
}  # fmt: skip


def main(top, seed, cycles, binaries, faketime, encryption):
    rng = random.Random(int(seed))
    os.makedirs(f"{top}/saved")
    host = Host(top, binaries, faketime, encryption)
    model = Model(host, rng)
    what = "init"
    try:
        for cycle in range(int(cycles)):
            do, policy = rng.choices(list(CYCLES), CYCLES.values())[0], rng.choice("ppq")
            kill_after = None if rng.random() < 0.6 else rng.choice([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8])
            what = f"cycle {cycle}, {do.__name__} {policy}"
            status, said = do(model, policy, kill_after)
            if status == ALARM and do in (do_prune, do_prune_store):
                raise Mismatch(f"exit {status}\n{said}")
        what = "at the end"
        for place in (host.repository, host.pruned_copy, host.copy):
            model.check_place(place, True)
    except Mismatch as mismatch:
        print(f"seed {seed}, {what}: {mismatch}")
        return 1
    print(f"done: {len(model.saved)} snapshots")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
