"""What was measured, one JSON object a line: so that a long comparison can be made in pieces, and put together."""
import json
import statistics


class Results:
    def __init__(self, path=None):
        self.entries = []
        self.file = open(path, "a") if path else None

    def add(self, entry):
        self.entries.append(entry)
        if self.file:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()

    def load(self, path):
        with open(path) as f:
            self.entries += [json.loads(line) for line in f if line.strip()]

    def jobs(self):
        """In the order they were first met."""
        return list(dict.fromkeys(e["job"] for e in self.entries if "job" in e))

    def tools(self, job):
        return list(dict.fromkeys(e["tool"] for e in self.entries if e.get("job") == job))

    def summary(self, job, tool):
        """Medians of the rounds, with their least and most wall time; None when there is none. Memory is the most of all rounds."""
        good = [e for e in self.entries if e.get("job") == job and e["tool"] == tool and "failed" not in e]
        if not good:
            return None
        walls = [e["wall_s"] for e in good]
        out = {"rounds": len(good), "wall_s": statistics.median(walls), "wall_min_s": min(walls), "wall_max_s": max(walls),
               "cpu_s": statistics.median(e["cpu_s"] for e in good), "rss_mib": max(e["rss_kib"] for e in good) / 1024}
        stored = [e["stored_bytes"] for e in good if "stored_bytes" in e]
        if stored:
            out["stored_mib"] = statistics.median(stored) / 1048576
        if any("equal" in e for e in good):
            out["equal"] = all(e.get("equal") for e in good)
        return out

    def failures(self):
        return [e for e in self.entries if "failed" in e]

    def facts(self):
        """Machine, sizes and how it was done of the last run; versions and workloads of all."""
        facts = {}
        for e in self.entries:
            for name, value in e.get("facts", {}).items():
                facts[name] = {**facts.get(name, {}), **value} if isinstance(value, dict) else value
        return facts
