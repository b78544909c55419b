"""What is compared. A tool makes backups of `source` in its directory `home`, encrypted where it can, with its own defaults otherwise; each of its steps is a command
that is measured. bkd is one of them."""
import glob
import os
import shutil
import subprocess

PASSWORD = "bench"


class Tool:
    name = ""
    packages = ()
    steps = ("first", "next", "same", "restore", "file")  # what it can do
    of = None  # with this workload only
    keeps_link_times = True  # those of symbolic links

    def __init__(self, runner, home, source, options):
        self.runner, self.home, self.source, self.options = runner, home, source, options
        os.mkdir(home)
        self.repository = os.path.join(home, "repository")
        self.nights = 0

    def start(self):
        """Before the first backup; not measured."""

    def backup(self):
        raise NotImplementedError

    def restore(self, out):
        raise NotImplementedError

    def file(self, name, out):
        """Brings back one file, named relative to the source."""
        raise NotImplementedError

    def restored(self, out):
        """Where in `out` a restore has what the source holds."""
        return out + self.source

    def stored_bytes(self):
        if os.path.isfile(self.repository):
            return os.path.getsize(self.repository)
        return sum(os.lstat(os.path.join(where, n)).st_size for where, _, names in os.walk(self.repository) for n in names)

    @classmethod
    def version(cls):
        out = subprocess.run(cls.version_command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        return out.strip().split("\n")[0].strip()


class Bkd(Tool):
    name = "bkd"
    version_command = '"$BKD_BIN/bkd" --version'

    def __init__(self, runner, home, source, options, repository=None):
        super().__init__(runner, home, source, options)
        self.bin = os.environ["BKD_BIN"]
        self.config = os.path.join(home, "config")
        self.url = repository or self.repository
        os.makedirs(os.path.join(self.config, "policies"))
        with open(os.path.join(self.config, "policies", "p.yaml"), "w") as f:
            f.write("description: bench\nsources:\n  - path: %s\nrepository: %s\nencryption: {recipients: recipients.txt}\n" % (source, self.url))
            f.write("".join(line + "\n" for line in options.policy))

    def bkd(self, *args):
        return [os.path.join(self.bin, "bkd"), "--config-dir", self.config, "--state-dir", os.path.join(self.home, "state"), *args]

    def reader(self, *args):
        keys = os.path.join(self.config, "keys")
        return [os.path.join(self.bin, "bkd-restore"), "-q", "-r", self.url, "-i", keys + "/operations.txt", "-s", keys + "/allowed_signers", *args]

    def jobs(self):
        return ["--jobs", str(self.options.jobs)] if self.options.jobs else []

    def start(self):
        self.runner.run(self.bkd("keys", "init"))
        self.runner.run(self.bkd("init", "p"))

    def backup(self):
        return self.bkd("-q", "backup", "p", *self.jobs())

    def restore(self, out):
        return self.reader("restore", "latest", "--target", out, *self.jobs(), *(["--no-sync"] if self.options.restores == "cached" else []))

    def file(self, name, out):
        return self.reader("restore", "latest", os.path.join(self.source, name), "--target", out)


class Restic(Tool):
    name = "restic"
    packages = ("restic",)
    version_command = "restic version | cut -d' ' -f1-2"

    def restic(self, *args):
        return ["env", "RESTIC_PASSWORD=" + PASSWORD, "RESTIC_CACHE_DIR=" + os.path.join(self.home, "cache"), "restic", "-q", "-r", self.repository, *args]

    def start(self):
        self.runner.run(self.restic("init"))

    def backup(self):
        return self.restic("backup", self.source)

    def restore(self, out):
        return self.restic("restore", "latest", "--target", out)

    def file(self, name, out):
        return self.restic("restore", "latest", "--target", out, "--include", os.path.join(self.source, name))


class Borg(Tool):
    name = "borg"
    packages = ("borgbackup",)
    version_command = "borg --version"

    def borg(self, *args):
        return ["env", "BORG_BASE_DIR=" + self.home, "BORG_PASSPHRASE=" + PASSWORD, "BORG_REPO=" + self.repository, "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes", "borg", *args]

    def start(self):
        self.runner.run(self.borg("init", "-e", "repokey-blake2"))

    def backup(self):
        self.nights += 1
        return self.borg("create", "--compression", "lz4", "::%d" % self.nights, self.source)

    def restore(self, out):
        os.makedirs(out, exist_ok=True)
        return ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", out, *self.borg("extract", "--sparse", "::%d" % self.nights)]

    def file(self, name, out):
        return self.restore(out) + [os.path.join(self.source, name).lstrip("/")]


class TarZstdAge(Tool):
    """The floor of a full backup: what stock programs in a pipe take."""

    name = "tar|zstd|age"
    packages = ("age", "zstd")
    steps = ("first", "restore")
    version_command = "echo $(tar --version | sed -n '1s/.*) //p') / $(zstd --version | grep -o 'v[0-9.]*' | head -n 1) / $(age --version)"

    def start(self):
        self.key = os.path.join(self.home, "key")
        self.runner.run("age-keygen -o '%s' && age-keygen -y '%s' > '%s.pub'" % (self.key, self.key, self.key))

    def backup(self):
        return "tar -C '%s' --sparse -c . | zstd -q -T%d -3 | age -R '%s.pub' > '%s'" % (self.source, os.cpu_count(), self.key, self.repository)

    def restore(self, out):
        os.makedirs(out, exist_ok=True)
        return "age -d -i '%s' '%s' | zstd -dq | tar -C '%s' -x" % (self.key, self.repository, out)

    def restored(self, out):
        return out


class Duplicity(Tool):
    name = "duplicity"
    packages = ("duplicity", "gnupg")
    keeps_link_times = False
    version_command = "duplicity --version"

    def duplicity(self, *args):
        own = "--archive-dir=" + os.path.join(self.home, "archive")
        return ["env", "PASSPHRASE=" + PASSWORD, "GNUPGHOME=" + self.home, "duplicity", *args[:-2], own, "--no-print-statistics", *args[-2:]]

    def start(self):
        os.chmod(self.home, 0o700)

    def backup(self):
        return self.duplicity(self.source, "file://" + self.repository)

    def restore(self, out):
        return self.duplicity("restore", "file://" + self.repository, os.path.join(out, "tree"))

    def file(self, name, out):
        os.makedirs(out, exist_ok=True)
        return self.duplicity("restore", "--file-to-restore", name, "file://" + self.repository, os.path.join(out, "file"))

    def restored(self, out):
        return os.path.join(out, "tree")


class RdiffBackup(Tool):
    """Not encrypted, not compressed: the last version is a plain tree."""

    name = "rdiff-backup"
    packages = ("rdiff-backup",)
    keeps_link_times = False
    version_command = "rdiff-backup --version 2>&1 | tail -n 1"

    def backup(self):
        return ["rdiff-backup", self.source, self.repository]

    def restore(self, out):
        return ["rdiff-backup", "-r", "now", self.repository, os.path.join(out, "tree")]

    def file(self, name, out):
        os.makedirs(out, exist_ok=True)
        return ["rdiff-backup", "-r", "now", os.path.join(self.repository, name), os.path.join(out, "file")]

    def restored(self, out):
        return os.path.join(out, "tree")


class Rsync(Tool):
    """A plain copy: what it takes to read, compare and write."""

    name = "rsync"
    packages = ("rsync",)
    steps = ("first", "next", "same", "restore")
    version_command = "rsync --version | sed -n '1s/  */ /gp' | cut -d' ' -f1-3"

    def backup(self):
        return ["rsync", "-aHS", "--delete", self.source + "/", self.repository + "/"]

    def restore(self, out):
        return ["rsync", "-aHS", self.repository + "/", out + "/"]

    def restored(self, out):
        return out


class Find(Tool):
    """The floor of a night in which nothing changed: reading the fields that are compared."""

    name = "find"
    steps = ("same",)
    version_command = "find --version | head -n 1"

    def backup(self):
        return "find '%s' -printf '%%p %%y %%s %%T@ %%C@ %%i %%m %%U %%G\\n' >/dev/null" % self.source


class Rdiff(Tool):
    """librsync's own program, on the one large file: signature of the night before, delta against it, in blocks of 4 KiB as bkd compares."""

    name = "rdiff"
    packages = ("rdiff",)
    steps = ("next",)
    of = "W2"
    version_command = "rdiff --version | head -n 1"

    def start(self):
        os.mkdir(self.repository)
        self.old = os.path.join(self.home, "old")
        self.runner.run("cp --sparse=always %s/* '%s'" % (self.source, self.old))

    def backup(self):
        new = glob.glob(self.source + "/*")[0]
        return "rdiff -b 4096 signature '%s' '%s/signature' && rdiff delta '%s/signature' '%s' '%s/delta'" % (self.old, self.home, self.home, new, self.repository)


class Burp(Tool):
    """Client and server on one machine; both are measured."""

    name = "burp"
    packages = ("burp", "openssl")
    steps = ("first", "next", "same", "restore")
    version_command = "burp -V 2>&1 | head -n 1"
    port = 14971

    def start(self):
        h = self.home
        for d in ("server", "clients", "client", "run"):
            os.makedirs(os.path.join(h, d))
        server = ["mode = server", "listen = 127.0.0.1:%d" % self.port, "directory = %s/repository" % h, "clientconfdir = %s/clients" % h, "protocol = 1",
                  "pidfile = %s/run/server" % h, "hardlinked_archive = 0", "working_dir_recovery_method = delete", "keep = 40", "max_children = 5", "compression = zlib3",
                  "ssl_cert_ca = %s/server/ca.pem" % h, "ssl_cert = %s/server/cert.pem" % h, "ssl_key = %s/server/cert.key" % h, "ssl_dhfile = %s/server/dh.pem" % h,
                  "timer_script = /bin/true", "dedup_group = global", "stdout = 1", "syslog = 0"]
        client = ["mode = client", "server = 127.0.0.1:%d" % self.port, "port = %d" % self.port, "protocol = 1", "password = bench", "cname = bench",
                  "pidfile = %s/run/client" % h, "ssl_cert_ca = %s/client/ca.pem" % h, "ssl_cert = %s/client/cert.pem" % h, "ssl_key = %s/client/cert.key" % h,
                  "ssl_peer_cn = bench", "encryption_password = " + PASSWORD, "stdout = 1", "syslog = 0", "cross_all_filesystems = 1", "server_can_restore = 0", "include = " + self.source]
        self._write("server.conf", server)
        self._write("client.conf", client)
        self._write("clients/bench", ["password = bench"])
        self.runner.run("cd '%s' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench -keyout server/cert.key -out server/cert.pem 2>&1 && "
                        "cp server/cert.pem server/ca.pem && cp server/cert.* client/ && cp server/cert.pem client/ca.pem && "
                        "openssl dhparam -dsaparam -out server/dh.pem 2048 2>&1" % h)
        os.mkdir(self.repository)

    def _write(self, name, lines):
        with open(os.path.join(self.home, name), "w") as f:
            f.write("\n".join(lines) + "\n")

    def _with_server(self, client):
        return ("burp -F -c '%s/server.conf' & server=$!; n=0; until grep -qi ':%04X ' /proc/net/tcp || [ $n = 50 ]; do sleep 0.05; n=$((n + 1)); done; "
                "burp -c '%s/client.conf' %s; status=$?; cd '%s/repository/bench'; "
                "while [ -e working ] || [ -e finishing ]; do sleep 0.05; done; kill $server; wait $server; exit $status") % (
                    self.home, self.port, self.home, client, self.home)

    def backup(self):
        return self._with_server("-a b")

    def restore(self, out):
        return self._with_server("-a r -d '%s'" % out)


ALL = {t.name: t for t in (Bkd, Restic, Borg, TarZstdAge, Duplicity, RdiffBackup, Burp, Rsync, Rdiff, Find)}
USUAL = ("bkd", "restic", "borg", "tar|zstd|age", "rsync", "rdiff", "find")


def in_turn(some, round_):
    """Another begins in each round: the first finds the memory as those before left it, and a virtual machine may have to be given it anew."""
    first = (round_ - 1) % max(len(some), 1)
    return some[first:] + some[:first]


def remove(tool):
    """With its repository."""
    shutil.rmtree(tool.home, ignore_errors=True)
