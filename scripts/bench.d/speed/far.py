"""Backups to another machine: a private sshd behind a line with the delay of the long way (tests/support/slow_line), the same line for all."""
import os
import shutil
import subprocess
import time

import same
import tools
from measure import Failed

DELAY_MS = 30  # a round trip


class Line:
    """sshd with a key for its clients, and the line to it. Needs a build directory: bkd's own packages do not have slow_line."""

    def __init__(self, runner, work):
        self.runner, self.tree = runner, os.path.join(work, "line")
        self.slow_line = os.path.join(os.environ["BKD_BIN"], "../tests/support/slow_line")
        if not os.path.exists(self.slow_line):
            raise Failed("over SSH: needs tests/support/slow_line of a build directory beside bin")
        os.mkdir(self.tree)
        os.chmod(work, 0o755)
        script = os.path.join(os.environ["BENCH_ROOT"], "tests/scenario/sshd.sh")
        said = runner.run('tree="%s"; . "%s"; sshd_available || { echo "$sshd_missing"; exit 1; }; sshd_start line "Subsystem sftp internal-sftp" "MaxStartups 100"; '
                          'trap - EXIT; echo "$sshd_user $sshd_port"' % (self.tree, script))
        self.user, port = said.split()[-2:]
        self.port = int(port) + 1
        self.process = subprocess.Popen([self.slow_line, str(self.port), port, "delay=%d" % (DELAY_MS // 2)], stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        self.key, self.known, self.far = (os.path.join(self.tree, n) for n in ("user_key", "known", "far"))
        os.mkdir(self.far)
        with open(os.path.join(self.tree, "sshd-line/host.pub")) as f, open(self.known, "w") as known:
            known.write("[127.0.0.1]:%d %s\n" % (self.port, " ".join(f.read().split()[:2])))

    def ssh(self):
        return "ssh -p %d -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes -o BatchMode=yes" % (self.port, self.key, self.known)

    def close(self):
        self.process.terminate()
        self.process.wait()
        with open(os.path.join(self.tree, "sshd-line/pid")) as f:
            os.kill(int(f.read()), 15)


class FarBkd(tools.Bkd):
    def __init__(self, runner, home, source, options, line):
        self.line = line
        super().__init__(runner, home, source, options, "sftp://%s@127.0.0.1:%d%s/bkd" % (line.user, line.port, line.far))
        self.repository = line.far + "/bkd"

    def reader(self, *args):
        return super().reader("--ssh-identity", self.line.key, "--known-hosts", self.config + "/keys/known_hosts", *args)

    def start(self):
        self.runner.run(self.bkd("keys", "init"))
        shutil.copy(self.line.key, self.config + "/keys/ssh_ed25519")
        self.runner.run(self.bkd("trust-host", self.url, "--yes"))
        self.runner.run(self.bkd("init", "p"))


class FarRestic(tools.Restic):
    def __init__(self, runner, home, source, options, line):
        super().__init__(runner, home, source, options)
        self.line, self.repository = line, line.far + "/restic"

    def restic(self, *args):
        command = super().restic("-o", "sftp.command=%s %s@127.0.0.1 -s sftp" % (self.line.ssh(), self.line.user), *args)
        return ["sftp:far:" + a if a == self.repository else a for a in command]


class FarBorg(tools.Borg):
    def __init__(self, runner, home, source, options, line):
        super().__init__(runner, home, source, options)
        self.line, self.repository = line, line.far + "/borg"

    def borg(self, *args):
        where = "ssh://%s@127.0.0.1:%d%s" % (self.line.user, self.line.port, self.repository)
        return ["env", "BORG_RSH=" + self.line.ssh()] + [a.replace("BORG_REPO=" + self.repository, "BORG_REPO=" + where) for a in super().borg(*args)]


class TarZstdSsh(tools.Tool):
    name = "tar|zstd|ssh"
    steps = ("first",)

    def __init__(self, runner, home, source, options, line):
        super().__init__(runner, home, source, options)
        self.line, self.repository = line, line.far + "/tar"

    def backup(self):
        return "tar -C '%s' -c . | zstd -q -T%d -3 | %s %s@127.0.0.1 'cat >%s'" % (self.source, os.cpu_count(), self.line.ssh(), self.line.user, self.repository)


JOBS = ("ssh.first", "ssh.file")


class Far:
    """The first backup of a tree, and one file back."""

    def __init__(self, bench):
        self.bench = bench

    def run(self, source, one_file):
        bench, options = self.bench, self.bench.options
        line = Line(bench.runner, bench.places.work)
        used = [t for t in (FarBkd, FarRestic, FarBorg, TarZstdSsh) if t.name in options.tools or (t is TarZstdSsh and tools.TarZstdAge.name in options.tools)]
        try:
            for round_ in range(1, options.rounds + 1):
                for kind in tools.in_turn(used, round_):
                    tool = kind(bench.runner, os.path.join(bench.places.work, "far-" + kind.name.replace("|", "-")), source, options, line)
                    try:
                        self.one(tool, round_, source, one_file)
                    except Failed as why:
                        bench.fail("ssh.first", tool.name, round_, why)
                    shutil.rmtree(tool.home)
                    bench.runner.run("rm -rf '%s'/*" % line.far)
        finally:
            line.close()

    def one(self, tool, round_, source, one_file):
        bench = self.bench
        tool.start()
        measure = bench.runner.measure(tool.backup())
        bench.note("ssh.first", tool.name, round_, measure, stored_bytes=tool.stored_bytes())
        if "file" not in tool.steps or not bench.wants("ssh.file"):
            return
        out = os.path.join(bench.places.work, "file")
        measure = bench.runner.measure(tool.file(one_file, out))
        same.check_file(bench.runner, source, one_file, out)
        shutil.rmtree(out)
        bench.note("ssh.file", tool.name, round_, measure, equal=True)
