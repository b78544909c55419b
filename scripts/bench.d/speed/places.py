"""File systems to work in. A restore goes to a fresh one each time: ext4 creates files 10 to 20 times slower soon after a large tree was removed from it, whatever
the tool (it passes over inodes that were freed a moment ago), so that whoever restores second would lose."""
import os
import shutil

KINDS = ("ext4", "xfs", "tmpfs", "none")
MAKE = {"ext4": "mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0,nodiscard %s", "xfs": "mkfs.xfs -q -K %s"}


class Places:
    """Directories of one kind of file system below `work`: images in files, mounted; with "none" plain directories, where nothing may be mounted."""

    def __init__(self, runner, work, kind):
        self.runner, self.work, self.kind = runner, work, kind
        self.open = []

    def fresh(self, name, size_mib):
        """An empty directory with that much room and more (files in an image take what they need)."""
        path = os.path.join(self.work, name)
        os.mkdir(path)
        if self.kind == "none":
            self.open.append(path)
            return path
        try:
            if self.kind == "tmpfs":
                self.runner.run("mount -t tmpfs -o size=%dm,nr_inodes=0 bench '%s'" % (size_mib * 2, path))
            else:
                image = path + ".img"
                with open(image, "wb") as f:
                    f.truncate(max(size_mib * 3, 512) << 20)
                self.runner.run((MAKE[self.kind] + " && mount -o loop,noatime %s %s") % (image, image, path))
        except Exception:
            os.rmdir(path)
            raise
        self.open.append(path)
        shutil.rmtree(os.path.join(path, "lost+found"), ignore_errors=True)
        return path

    def device(self, path):
        """The block device below, as "MAJOR:MINOR"."""
        n = os.stat(path).st_dev
        return "%d:%d" % (os.major(n), os.minor(n))

    def drop(self, path):
        self.open.remove(path)
        if self.kind == "none":
            shutil.rmtree(path, ignore_errors=True)
            return
        self.runner.run("umount '%s' || umount -l '%s'" % (path, path))
        os.rmdir(path)
        if os.path.exists(path + ".img"):
            os.unlink(path + ".img")

    def drop_all(self):
        for path in list(self.open):
            self.drop(path)
