// What stands in the handbook for who restores by hand: a command for a shell, with the copy, the keys and the way there that the policy names.
#include "tests/codec/scratch.h"

#include "bkd/base/io.h"
#include "bkd/plans/handbook_command.h"

struct office {
    struct scratch scratch;
    struct context ctx;
    struct recovery plan;
};

static int setup(void **state)
{
    static const char text[] = "hosts: [{name: standby, address: root@standby, ssh_identity: standby, ssh_known_hosts: standby_hosts}]\n"
                               "systems: [{name: app, policy: app, targets: [{scenario: fire, to: directory, host: standby, path: /srv/again}]}]\n"
                               "steps:\n  - {id: files, type: restore, system: app}\n  - {id: begin, type: command, command: [systemctl, start, \"it's\"], host: standby}\n"
                               "  - {id: look, type: manual, instruction: look at it}\n";
    struct office *o = xcalloc(1, sizeof *o);
    _cleanup_policy_errors_ struct policy_errors errors = { 0 };
    struct error err;
    o->scratch = scratch_new();
    o->ctx = (struct context){ .io = io_real(), .config_dir = o->scratch.dir };
    scratch_run("mkdir '%s/policies' '%s/keys'", o->scratch.dir, o->scratch.dir);
    if (recovery_parse("plans/erp.yaml", text, strlen(text), &o->plan, &errors, &err) < 0)
        fail_msg("%s: %s", err.text, errors.count == 0 ? "" : errors.items[0].message);
    *state = o;
    return 0;
}

static int teardown(void **state)
{
    struct office *o = *state;
    recovery_done(&o->plan);
    scratch_done(&o->scratch);
    free(o);
    return 0;
}

// The command of a step, where the policy has this repository. In `expected` KEYS stands for the directory of keys.
static void expect(const struct office *o, const char *repository, size_t step, const char *scenario, const char *expected)
{
    _cleanup_buf_ struct buf got = { 0 }, wanted = { 0 };
    _cleanup_free_ char *policy = xasprintf("repository: %s\nverify: {identity: operations.txt}\n", repository);
    scratch_write(&o->scratch, "policies/app.yaml", policy, strlen(policy));
    for (const char *at = expected, *keys; *at != '\0'; at = keys == NULL ? "" : keys + 4) {
        keys = strstr(at, "KEYS");
        buf_add(&wanted, at, keys == NULL ? strlen(at) : (size_t)(keys - at));
        if (keys != NULL)
            buf_addf(&wanted, "%s/keys", o->scratch.dir);
    }
    handbook_command(&o->ctx, &o->plan, &o->plan.steps[step], scenario, &got);
    assert_string_equal(buf_str(&got), buf_str(&wanted));
}

static void test_restore_here(void **state)
{
    struct office *o = *state;
    expect(o, "/srv/repository", 0, NULL,
           "bkd-restore restore latest --policy app -r /srv/repository -i KEYS/operations.txt -s KEYS/allowed_signers --in-place --overwrite if-changed");
    expect(o, "{url: \"sftp://bkd@far/app\", ssh: {identity: rsa}}", 0, NULL,
           "bkd-restore restore latest --policy app -r sftp://bkd@far/app -i KEYS/operations.txt -s KEYS/allowed_signers --known-hosts KEYS/known_hosts --ssh-identity KEYS/rsa "
           "--in-place --overwrite if-changed");
}

// An RSA key is no use to who is not told that.
static void test_restore_by_ssh(void **state)
{
    struct office *o = *state;
    expect(o, "{url: \"sftp://bkd@far/app\", ssh: {identity: rsa, transport: ssh}}", 0, NULL,
           "bkd-restore restore latest --policy app -r sftp://bkd@far/app -i KEYS/operations.txt -s KEYS/allowed_signers --known-hosts KEYS/known_hosts --transport ssh "
           "--ssh-identity KEYS/rsa --in-place --overwrite if-changed");
}

// On a stand-by: the program and the keys go there and are removed.
static void test_restore_there(void **state)
{
    struct office *o = *state;
    _cleanup_buf_ struct buf got = { 0 };
    expect(o, "{url: \"sftp://bkd@far/app\", ssh: {identity: rsa, transport: ssh}}", 1, "fire",
           "ssh -i KEYS/standby -o 'UserKnownHostsFile=KEYS/standby_hosts' root@standby 'systemctl start '\\''it'\\''\\'\\'''\\''s'\\'''");
    handbook_command(&o->ctx, &o->plan, &o->plan.steps[0], "fire", &got);
    static const char *const parts[] = { "tar -cf - ", " -C ", "/keys/ rsa", " | ssh -i ", " root@standby ", "umask 077; mkdir /dev/shm/bkd && cd /dev/shm/bkd && tar -xf - && ./bkd-restore restore latest",
                                         "--known-hosts known_hosts --transport ssh --ssh-identity rsa --target /srv/again", "; cd /; rm -rf /dev/shm/bkd" };
    const char *at = buf_str(&got);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *found = strstr(at, parts[i]);
        if (found == NULL)
            fail_msg("no '%s' in '%s'", parts[i], at);
        at = found + strlen(parts[i]);
    }
}

static void test_others_have_none(void **state)
{
    struct office *o = *state;
    expect(o, "/srv/repository", 2, "fire", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restore_here, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restore_by_ssh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restore_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_have_none, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
