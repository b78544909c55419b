"""What is backed up, and how it changes from night to night: seeded, from the real files of this machine and a real PostgreSQL."""
import os
import random
import shutil
import stat

FULL = {"files": 100000, "tree_mib": 1500, "image_mib": 4096, "pgbench": 60, "tiny": 1000000, "rewritten_mib": 2048}
BIGGEST = 64 << 20  # a larger file would be a workload of its own
OUTLIER = 50  # times the mean
BLOCK = 4096
SKIP = ("/proc", "/sys", "/dev", "/run", "/tmp")


class Sizes:
    """Each of FULL, scaled unless it was given."""

    def __init__(self, scale, given):
        least = {"files": 50, "tree_mib": 4, "image_mib": 16, "pgbench": 1, "tiny": 500, "rewritten_mib": 8}
        for name, full in FULL.items():
            setattr(self, name, given.get(name) or max(least[name], int(full * scale)))
        self.transactions = max(100, 150 * self.pgbench)  # of each of pgbench's four clients, a night

    def text(self):
        return ", ".join("%s %d" % (name, getattr(self, name)) for name in FULL)


class Workload:
    """One directory to back up. make() fills it; night() changes it, differently each time."""

    name = what = ""

    def __init__(self, runner, sizes, seed, roots):
        self.runner, self.sizes, self.roots = runner, sizes, roots
        self.random = random.Random("%s %s" % (seed, self.name))

    def mib(self):
        """About how much room it takes."""
        raise NotImplementedError

    def make(self, path):
        raise NotImplementedError

    def night(self, path):
        raise NotImplementedError


def pick(rand, roots, bytes_max, files_max=None):
    """Files of whole directories, in a random order of these, of so many bytes; as names without the leading /. With files_max about so many: then files far larger than the mean that
    remains are left out."""
    directories = []
    for root in roots:
        for where, below, names in os.walk(root):
            below[:] = sorted(d for d in below if not os.path.join(where, d).startswith(SKIP))
            directories.append((where, sorted(names)))
    rand.shuffle(directories)
    chosen, left = [], bytes_max
    for where, names in directories:
        for name in names:
            path = os.path.join(where, name)
            try:
                st = os.lstat(path)
            except OSError:
                continue
            most = min(BIGGEST, left if files_max is None else OUTLIER * left // (files_max - len(chosen)))
            if st.st_size > most or not (stat.S_ISREG(st.st_mode) or stat.S_ISLNK(st.st_mode)):
                continue
            left -= st.st_size
            chosen.append(path.lstrip("/"))
            if len(chosen) == files_max:
                return chosen
    return chosen


def copy(runner, names, path):
    names_file = path + ".names"
    with open(names_file, "wb") as f:
        f.write(b"".join(os.fsencode(n) + b"\0" for n in names))
    runner.run("tar -C / --null -T '%s' --no-recursion -c 2>/dev/null | tar -C '%s' -x" % (names_file, path))
    os.unlink(names_file)


class Tree(Workload):
    name, what = "W1", "tree of real files"

    def mib(self):
        return self.sizes.tree_mib + self.sizes.files // 128

    def make(self, path):
        copy(self.runner, pick(self.random, self.roots, self.sizes.tree_mib << 20, self.sizes.files), path)

    def night(self, path):
        """One file in a hundred gets other bytes at a random place, and a directory another name."""
        files = [os.path.join(where, n) for where, _, names in os.walk(path) for n in names if not os.path.islink(os.path.join(where, n))]
        files.sort()
        for name in self.random.sample(files, max(1, len(files) // 100)):
            size = os.path.getsize(name)
            with open(name, "r+b") as f:
                f.seek(self.random.randrange(size + 1))
                f.write(self.random.randbytes(min(400, max(20, size // 20))))
        self._rename(path, len(files))

    def _rename(self, path, files):
        """A directory with between a hundredth and a fifth of the files below it, else any."""
        below = {}
        for where, _, names in os.walk(path):
            while where != path:
                below[where] = below.get(where, 0) + len(names)
                where = os.path.dirname(where)
        fitting = sorted(d for d, n in below.items() if files / 100 <= n <= files / 5) or sorted(below)
        chosen = self.random.choice(fitting)
        os.rename(chosen, chosen + "-%d" % self.random.randrange(1000))


class Image(Workload):
    name, what = "W2", "disk image"

    def mib(self):
        return self.sizes.image_mib * 3 // 2  # with the tree it is filled from

    def make(self, path):
        """An ext4 file system, filled to about a quarter with real files."""
        content = path + ".content"
        os.mkdir(content)
        copy(self.runner, pick(self.random, self.roots, self.sizes.image_mib << 18), content)
        image = os.path.join(path, "disk.img")
        with open(image, "wb") as f:
            f.truncate(self.sizes.image_mib << 20)
        uuid = "6d1f3a52-7f1e-4b3c-9d2e-0123456789ab"  # so that the same files make the same image
        self.runner.run("mkfs.ext4 -q -F -U %s -E hash_seed=%s -d '%s' '%s'" % (uuid, uuid, content, image))
        shutil.rmtree(content)

    def night(self, path):
        """One block in a hundred gets other bytes, half of it random."""
        image = os.path.join(path, "disk.img")
        blocks = os.path.getsize(image) // BLOCK
        with open(image, "r+b") as f:
            for block in self.random.sample(range(blocks), max(1, blocks // 100)):
                f.seek(block * BLOCK)
                f.write(self.random.randbytes(BLOCK // 2) + b"x" * (BLOCK // 2))


class Database(Workload):
    name, what = "W3", "PostgreSQL data directory"
    port = 5497

    def __init__(self, *args):
        super().__init__(*args)
        found = sorted(d for d in os.listdir("/usr/lib/postgresql")) if os.path.isdir("/usr/lib/postgresql") else []
        self.bin = "/usr/lib/postgresql/%s/bin" % found[-1] if found else None

    def mib(self):
        return self.sizes.pgbench * 20 + 200

    def _as_postgres(self, path, commands):
        """The server does not run as root."""
        data = os.path.join(path, "data")
        pg = "PATH=%s:$PATH; D='%s'; H=$(mktemp -d); start() { pg_ctl -D $D -o \"-p %d -k $H -c listen_addresses=\" -l $D/log -w start; }; stop() { pg_ctl -D $D -w stop; }" % (
            self.bin, data, self.port)
        script = path + ".sh"
        with open(script, "w") as f:
            f.write("set -e\n%s\n%s\nrm -rf $H\n" % (pg, commands))
        self.runner.run("chmod 644 '%s'; su postgres -s /bin/sh -c 'sh %s'" % (script, script) if os.getuid() == 0 else ["sh", script], cwd="/")
        os.unlink(script)

    def make(self, path):
        if os.getuid() == 0:
            shutil.chown(path, "postgres")
            open_way(path)
        self._as_postgres(path, "initdb -D $D -A trust -E UTF8 --locale=C\nstart\ncreatedb -h $H -p %d bench\npgbench -h $H -p %d -i -q -s %d bench\nstop" % (
            self.port, self.port, self.sizes.pgbench))

    def night(self, path):
        """A load of pgbench's own transactions."""
        self._as_postgres(path, "start\npgbench -h $H -p %d -c 4 -t %d --random-seed=%d bench\nstop" % (
            self.port, self.sizes.transactions, self.random.randrange(1 << 30)))


def open_way(path):
    """Lets another user get there."""
    while path != "/":
        os.chmod(path, os.stat(path).st_mode | 0o111)
        path = os.path.dirname(path)


class Tiny(Workload):
    name, what = "W4", "tiny files"

    def mib(self):
        return self.sizes.tiny // 128

    def make(self, path):
        for n in range(self.sizes.tiny):
            if n % 1000 == 0:
                directory = "%s/%02d/%04d" % (path, n // 50000, n // 1000)
                os.makedirs(directory)
            with open("%s/file-%d.txt" % (directory, n % 1000), "wb") as f:
                f.write(b"%d " % n + self.random.randbytes(self.random.randrange(40)).hex().encode())

    def night(self, path):
        for n in self.random.sample(range(self.sizes.tiny), max(1, self.sizes.tiny // 100)):
            with open("%s/%02d/%04d/file-%d.txt" % (path, n // 50000, n // 1000, n % 1000), "ab") as f:
                f.write(self.random.randbytes(8).hex().encode())


class Rewritten(Workload):
    name, what = "W5", "large file, wholly rewritten"

    def mib(self):
        return self.sizes.rewritten_mib

    def make(self, path):
        """Real files, one after the other."""
        left = self.sizes.rewritten_mib << 20
        with open(os.path.join(path, "file"), "wb") as out:
            for name in pick(self.random, self.roots, left * 2):
                if os.path.islink("/" + name):
                    continue
                with open("/" + name, "rb") as f:
                    left -= out.write(f.read(left))
                if left == 0:
                    break

    def night(self, path):
        """Every byte becomes another, as compressible as before."""
        change = self.random.randrange(1, 256)
        table = bytes(b ^ change for b in range(256))
        with open(os.path.join(path, "file"), "r+b") as f:
            at = 0
            while data := f.read(1 << 20):
                f.seek(at)
                at += f.write(data.translate(table))


ALL = {w.name: w for w in (Tree, Image, Database, Tiny, Rewritten)}
