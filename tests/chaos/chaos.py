#!/usr/bin/env python3
"""Everything that can go wrong at once, while logs are written and rotated: nothing may be lost or repeated unannounced.

`logtap verify` writes and reads through one daemon three times at once: by its socket, from a file system that is always
nearly full, and over a link from another network namespace. Two `logtap tail` follow beside it. Meanwhile chance, from
one printed seed, kills, stops and restarts the daemon and the clients, lets reads fail, takes descriptors and watches
away, overflows the queue of file events, fills the disk, sets the daemon's clock, cuts and throttles the link, and changes
configuration and certificates. In the end the daemon must hold no more than in the beginning.

usage: chaos.py LOGTAP [--seconds 120] [--rate 2000] [--rotate KINDS] [--rotate-every 2s] [--seed N]
                [--without FAULT,…] [--keep]

What a machine does not allow (a namespace, a mount, strace, faketime) is left out and said.
"""
import argparse
import collections
import glob
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
# Memory that the daemon may have won by the end: its cache, and what the allocator does not give back.
MEMORY_MAX = 160 << 20
# Events that fill the kernel's queue of 16,384 for certain.
OVERFLOW_EVENTS = 40_000


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **more).stdout


def possible(*command):
    """Whether a command can be run here."""
    try:
        run(*command)
        return True
    except (OSError, subprocess.CalledProcessError):
        return False


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Link:
    """A network namespace for clients that are far away; without the right to make one they are near."""

    def __init__(self, number):
        self.name, self.port = f"logtap-{number}", free_port()
        self.here, self.there = f"10.77.{number % 256}.1", f"10.77.{number % 256}.2"
        self.device = f"lt{number}"
        self.is_real = possible("ip", "netns", "add", self.name)
        if not self.is_real:
            self.here = "127.0.0.1"
            return
        run("ip", "link", "add", self.device, "type", "veth", "peer", "name", "far", "netns", self.name)
        run("ip", "address", "add", f"{self.here}/30", "dev", self.device)
        run("ip", "link", "set", self.device, "up")
        self.inside("ip", "address", "add", f"{self.there}/30", "dev", "far")
        self.inside("ip", "link", "set", "far", "up")
        self.inside("ip", "link", "set", "lo", "up")

    def inside(self, *command):
        return run("ip", "netns", "exec", self.name, *command)

    def prefix(self):
        return ["ip", "netns", "exec", self.name] if self.is_real else []

    def set_up(self, is_up):
        run("ip", "link", "set", self.device, "up" if is_up else "down")

    def throttle(self, rate):
        if rate is None:
            run("tc", "qdisc", "del", "dev", self.device, "root")
        else:
            run("tc", "qdisc", "add", "dev", self.device, "root", "tbf", "rate", rate, "burst", "32kb", "latency", "300ms")

    def remove(self):
        if self.is_real:
            subprocess.run(["ip", "netns", "del", self.name], check=False)


class Place:
    """The directory of a run: logs, configuration, certificates."""

    def __init__(self, link):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="logtap-chaos-"))
        self.link = link
        self.has_tiny = False
        for name in ("near", "far", "tiny", "spare"):
            (self.root / name).mkdir()
        self.has_tiny = possible("mount", "-t", "tmpfs", "-o", "size=16m", "logtap-chaos", self.root / "tiny")
        (self.root / "token").write_text("chaos\n")
        (self.root / "tokens").write_text(f"chaos:{run('sh', '-c', 'printf chaos | sha256sum').split()[0]}\n")
        os.chmod(self.root / "tokens", 0o600)
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                     "-subj", "/CN=chaos", "-keyout", "ca.key", "-out", "ca.pem")
        self.certify()
        self.configure(0)
        self.clock(0)

    def openssl(self, *arguments):
        run("openssl", *arguments, cwd=self.root)

    def certify(self):
        """A new certificate for the daemon, put in place of the old one."""
        (self.root / "names").write_text(f"subjectAltName=IP:{self.link.here},DNS:localhost\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=daemon",
                     "-keyout", "new.key", "-out", "new.csr")
        self.openssl("x509", "-req", "-in", "new.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
                     "-extfile", "names", "-out", "new.pem")
        os.chmod(self.root / "new.key", 0o600)
        os.replace(self.root / "new.key", self.root / "server.key")
        os.replace(self.root / "new.pem", self.root / "server.pem")

    def configure(self, number, is_good=True):
        """The configuration; `number` changes what the logs under test do not depend on."""
        sources = "".join(
            f'[[source]]\nname = "{name}"\npaths = ["{self.root}/{name}/*.log"]\n' for name in ("near", "far", "tiny"))
        spare = f'[[source]]\nname = "spare-{number}"\npaths = ["{self.root}/spare/*.log"]\n' if number else ""
        (self.root / "new.toml").write_text(
            f'[server]\nlisten = ["unix:{self.root}/logtap.sock", "{self.link.here}:{self.link.port}"]\n'
            f'[tls]\ncert = "{self.root}/server.pem"\nkey = "{self.root}/server.key"\n'
            f'[auth]\ntokens_file = "{self.root}/tokens"\n{sources}{spare}' + ("" if is_good else "nonsense = 1\n"))
        os.replace(self.root / "new.toml", self.root / "logtap.toml")

    def clock(self, offset):
        (self.root / "clock.new").write_text(f"{offset:+d}s\n")
        os.replace(self.root / "clock.new", self.root / "clock")

    def remove(self):
        if self.has_tiny:
            subprocess.run(["umount", "-l", str(self.root / "tiny")], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


class Daemon:
    """`logtap serve`, as often as it is killed."""

    def __init__(self, program, place):
        self.program, self.place, self.process = program, place, None
        self.log = open(place.root / "daemon.log", "ab")

    def start(self, mode="plain"):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOGTAP")}
        command = [self.program, "serve", "-c", str(self.place.root / "logtap.toml")]
        if mode == "watches":
            command = ["strace", "-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=inotify_add_watch", "-e",
                       "inject=inotify_add_watch:error=ENOSPC:when=2+2", *command]
        if FAKETIME:
            environment |= {"LD_PRELOAD": FAKETIME[0], "FAKETIME_TIMESTAMP_FILE": str(self.place.root / "clock"),
                            "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        self.log.write(f"--- start, {mode}\n".encode())
        self.log.flush()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log,
                                        env=environment)
        until(self.answers, 60, "the daemon listens")

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the daemon ended by itself: {self.process.returncode}")
        try:
            self.metrics()
            return True
        except OSError:
            return False

    def metrics(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.place.root / "logtap.sock"))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer chaos\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return {name: float(value) for name, value in re.findall(r"^(logtap_\S+) (\S+)$", answer, re.M)}

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, number):
        self.signal(number)
        self.process.wait(30)

    def holds(self):
        """Descriptors, watches, bytes of memory."""
        base = pathlib.Path(f"/proc/{self.process.pid}")
        watches = sum(text_of(info).count("inotify wd:") for info in (base / "fdinfo").iterdir())
        memory = int(re.search(r"VmRSS:\s+(\d+)", (base / "status").read_text())[1]) << 10
        return len(list((base / "fd").iterdir())), watches, memory


class Tail:
    """`logtap tail` with a cursor file, run after run; what comes is held against the numbers of the lines."""

    def __init__(self, program, place, number):
        self.program, self.place, self.number, self.runs, self.ends = program, place, number, 0, []
        self.start()

    def file(self, name, run=None):
        return self.place.root / f"tail-{self.number}-{self.runs if run is None else run}.{name}"

    def start(self):
        with open(self.file("out"), "wb") as out, open(self.file("err"), "wb") as err:
            self.process = subprocess.Popen(
                [self.program, "tail", f"unix:{self.place.root}/logtap.sock", "--token-file", str(self.place.root / "token"),
                 "--source", "near", "-n", "all", "-o", "raw", "--cursor-file", str(self.place.root / f"tail-{self.number}.cursor")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(60)
        self.ends.append(number)

    def again(self, number):
        self.end(number)
        self.runs += 1
        self.start()

    def is_through(self, lines):
        """Whether so many lines came. One that found no daemon when it began has given up, and is run again, as its user would."""
        if self.process.poll() is not None:
            self.ends.append(signal.SIGTERM)
            self.runs += 1
            self.start()
        return sum(self.judge()[0].values()) >= lines

    def judge(self):
        """Lines that came of each log, and what is wrong with them."""
        reached, wrong, announced = collections.Counter(), collections.Counter(), 0
        absent = collections.defaultdict(set)
        # Logs of which something new has come since a tail was killed, in whichever run.
        fresh = collections.defaultdict(lambda: True)
        for number in range(self.runs + 1):
            if number > 0 and self.ends[number - 1] == signal.SIGKILL:
                fresh = collections.defaultdict(bool)
            gaps = collections.Counter(re.findall(r"gap in \S*/verify-[\d-]*-(\d+)\.log", self.file("err", number).read_text()))
            announced += sum(gaps.values())
            lines = self.file("out", number).read_bytes().split(b"\n")
            for line in lines[:-1]:
                log, count = check(line)
                if log is None:
                    wrong["damaged"] += 1
                    continue
                expected = reached[log]
                # What was written after the place was last written down comes again when a tail is killed.
                again = not fresh[log] and count < expected
                if count > expected and gaps[str(log)] == 0:
                    absent[log].update(range(expected, count))
                elif count in absent[log]:
                    absent[log].remove(count)
                    wrong["disordered"] += 1
                elif count < expected and not again:
                    wrong["repeated"] += 1
                fresh[log] = fresh[log] or count >= expected
                reached[log] = max(reached[log], count + 1)
        wrong["lost"] = sum(len(numbers) for numbers in absent.values())
        return reached, +wrong, announced


def text_of(path):
    """What a file says; nothing when it has gone meanwhile."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def check(line):
    """The log and number of a line of `logtap verify`; none when it is not one, byte for byte."""
    text, _, checksum = line.rpartition(b" crc=")
    found = re.search(rb" log=(\d+) n=(\d+) ", text[:200])
    if not found or f"{zlib.crc32(text):08x}".encode() != checksum:
        return None, None
    return int(found[1]), int(found[2])


class Chaos:
    def __init__(self, arguments):
        self.arguments = arguments
        self.program = str(pathlib.Path(arguments.program).resolve())
        self.random = random.Random(arguments.seed)
        self.count, self.left_out, self.wrong = collections.Counter(), [], []
        self.began = time.monotonic()
        self.link = Link(arguments.seed % 1000)
        self.place = Place(self.link)
        self.daemon = Daemon(self.program, self.place)

    def faults(self):
        """Every fault that this machine allows."""
        strace = possible("strace", "-V")
        every = [
            ("kill", self.kill, True), ("drain", self.drain, True), ("stop", self.stop, True),
            ("descriptors", self.take_descriptors, True), ("overflow", self.overflow, True), ("reload", self.reload, True),
            ("certificate", self.place.certify, True), ("tail", self.disturb_tail, True),
            ("watches", lambda: self.kill("watches"), strace), ("read-errors", self.fail_reads, strace),
            ("disk-full", self.fill, self.place.has_tiny), ("clock", self.set_clock, bool(FAKETIME)),
            ("link-down", self.cut, self.link.is_real), ("link-slow", self.throttle, self.link.is_real and possible("tc", "-V")),
        ]
        without = self.arguments.without.split(",")
        self.left_out = [name for name, _, allowed in every if not allowed or name in without]
        return [(name, fault) for name, fault, allowed in every if allowed and name not in without]

    def pause(self, least, most):
        time.sleep(self.random.uniform(least, most))

    def kill(self, mode="plain"):
        self.daemon.end(signal.SIGKILL)
        self.pause(0, 1.5)
        self.daemon.start(mode)

    def drain(self):
        self.daemon.end(signal.SIGTERM)
        self.daemon.start()

    def stop(self):
        self.daemon.signal(signal.SIGSTOP)
        self.pause(0.2, 3)
        self.daemon.signal(signal.SIGCONT)

    def take_descriptors(self):
        pid, hard = self.daemon.process.pid, resource.prlimit(self.daemon.process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.daemon.holds()[0] + 1, hard))
        self.pause(0.5, 3)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))

    def fail_reads(self):
        calls = "preadv2,pread64"
        command = ["strace", "-f", "-p", str(self.daemon.process.pid), "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                   f"inject={calls}:error=EIO:when={self.random.randint(1, 3)}+{self.random.randint(2, 9)}"]
        strace = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pause(0.5, 2)
        strace.send_signal(signal.SIGINT)
        strace.wait(30)

    def overflow(self):
        self.daemon.signal(signal.SIGSTOP)
        # Only equal events in a row are merged, so two files take turns.
        files = [os.open(self.place.root / "near" / f"noise-{number}", os.O_WRONLY | os.O_CREAT) for number in (0, 1)]
        for number in range(OVERFLOW_EVENTS // 2):
            os.pwrite(files[number % 2], b"x", 0)
            os.ftruncate(files[number % 2], 0)
        for number in files:
            os.close(number)
        self.daemon.signal(signal.SIGCONT)

    def fill(self):
        ballast = self.place.root / "tiny" / "ballast"
        try:
            with open(ballast, "wb") as file:
                while True:
                    file.write(bytes(1 << 16))
        except OSError:
            pass
        self.pause(0.3, 1.5)
        ballast.unlink()

    def set_clock(self):
        self.place.clock(self.random.choice([-86_400, -3600, -5, 0, 5, 3600, 86_400]))

    def cut(self):
        self.link.set_up(False)
        self.pause(0.5, 4)
        self.link.set_up(True)

    def throttle(self):
        self.link.throttle("1mbit")
        self.pause(2, 6)
        self.link.throttle(None)

    def reload(self):
        self.place.configure(self.random.randint(0, 9), is_good=self.random.random() > 0.3)
        self.daemon.signal(signal.SIGHUP)
        self.pause(0, 1)
        self.place.configure(0)
        self.daemon.signal(signal.SIGHUP)

    def disturb_tail(self):
        tail = self.random.choice(self.tails)
        number = self.random.choice([signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        if number == signal.SIGSTOP:
            tail.process.send_signal(number)
            self.pause(0.5, 4)
            tail.process.send_signal(signal.SIGCONT)
        else:
            tail.again(number)

    def verify(self, name, host, prefix=(), more=()):
        """Starts `logtap verify` in one of the directories."""
        # The tails beside the first cannot know which lines were in files that nobody saw.
        rotations = [kind for kind in self.arguments.rotate.split(",") if kind != "delete" or name != "near"] or ["rename"]
        command = [*prefix, self.program, "verify", host, "-d", str(self.place.root / name), "--seed", str(self.arguments.seed),
                   "--token-file", str(self.place.root / "token"), "-t", f"{self.arguments.seconds}s", "--patience", "60s",
                   "--rotate-every", self.arguments.rotate_every, "--rotate", ",".join(rotations), "--leave", "-q", "-o", "json", *more]
        return name, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self):
        self.daemon.start()
        before = self.daemon.holds()
        rate, socket_name = self.arguments.rate, f"unix:{self.place.root}/logtap.sock"
        each = ["--fast", "1", "--slow", "1", "--killed", "1"]
        over = f"https://{self.link.here}:{self.link.port}"
        runs = [
            self.verify("near", socket_name, more=["--rate", str(rate), "--keep", "40", *each]),
            self.verify("far", over, self.link.prefix(), ["--rate", str(max(rate // 10, 50)), "--ca", str(self.place.root / "ca.pem"), *each]),
        ]
        if self.place.has_tiny:
            runs.append(self.verify("tiny", socket_name, more=["--rate", str(max(rate // 4, 50)), *each]))
        for name, _ in runs:
            until(lambda: any(log.stat().st_size for log in (self.place.root / name).glob("*.log")), 60, f"verify {name} writes")
        self.tails = [Tail(self.program, self.place, number) for number in range(2)]
        until(lambda: all(tail.file("out").stat().st_size for tail in self.tails), 60, "what is written is read")
        self.disturb(runs)
        self.tell(runs)
        self.settle(before)

    def disturb(self, runs):
        """Does one thing after the other as long as lines are written."""
        faults = self.faults()
        print(f"faults: {', '.join(name for name, _ in faults)}; left out: {', '.join(self.left_out) or 'none'}", flush=True)
        # Two hands: what takes long does not keep the rest from happening at the same time.
        end = time.monotonic() + self.arguments.seconds - 5
        lock = threading.Lock()
        of_daemon = {"kill", "drain", "stop", "watches", "read-errors", "descriptors", "overflow", "reload", "clock", "certificate"}
        hands = [[fault for fault in faults if fault[0] in of_daemon], [fault for fault in faults if fault[0] not in of_daemon]]

        def work(hand, chance):
            while time.monotonic() < end:
                time.sleep(chance.uniform(0.2, 1.5))
                name, fault = chance.choice(hand)
                with lock:
                    print(f"{time.monotonic() - self.began:7.1f} s  {name}", flush=True)
                    self.count[name] += 1
                try:
                    fault()
                except Exception as error:  # What a hand cannot do is told, and ends the run as a failure.
                    with lock:
                        self.wrong.append(f"{name}: {error!r}")

        workers = [threading.Thread(target=work, args=(hand, random.Random(self.random.random()))) for hand in hands if hand]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def tell(self, runs):
        """Waits for the ends, and says what came."""
        lines = 0
        for name, process in runs:
            out, err = process.communicate()
            if not out.startswith("{"):
                self.wrong.append(f"verify {name}: status {process.returncode}: {err}")
                continue
            result = json.loads(out)
            rotations = ", ".join(f"{count} {kind}" for kind, count in result["rotations"])
            print(f"{name}: {result['lines']} lines; {rotations}; {result['skipped_rotations']} prevented")
            for client in result["clients"]:
                print("   ", *(f"{key}={value}" for key, value in client.items()))
            if not result["exact"]:
                self.wrong.append(f"verify {name}: not exact: {result['failures']}")
            lines = result["lines"] if name == "near" else lines
        for tail in self.tails:
            try:
                until(lambda: tail.is_through(lines), 60, f"tail-{tail.number} is through")
            except RuntimeError as error:
                self.wrong.append(str(error))
            tail.end(signal.SIGTERM)
            reached, wrong, announced = tail.judge()
            print(f"tail-{tail.number}: {sum(reached.values())} lines in {tail.runs + 1} runs, {announced} gaps, wrong: {dict(wrong)}")
            if wrong or sum(reached.values()) != lines:
                self.wrong.append(f"tail-{tail.number}: {dict(wrong)}, {sum(reached.values())} of {lines} lines")

    def settle(self, before):
        """The daemon holds what it held before anybody came."""
        for name in ("near", "far", "tiny"):
            kept = self.place.root / "kept" / name
            kept.mkdir(parents=True)
            for file in (self.place.root / name).glob("*"):
                shutil.move(file, kept) if self.arguments.keep else file.unlink()

        def settled():
            descriptors, watches, memory = self.daemon.holds()
            streams = sum(value for key, value in self.daemon.metrics().items() if key.startswith("logtap_streams{"))
            self.held = f"descriptors {before[0]} then {descriptors}, watches {before[1]} then {watches}, " \
                        f"memory {before[2] >> 20} MiB then {memory >> 20} MiB, {streams:.0f} streams"
            return descriptors <= before[0] + 2 and watches <= before[1] and memory < before[2] + MEMORY_MAX and streams == 0

        try:
            until(settled, 60, "the daemon lets go of everything")
        except RuntimeError as error:
            self.wrong.append(f"{error}: {self.held}")
        print(self.held)
        self.daemon.end(signal.SIGTERM)

    def close(self):
        processes = [self.daemon.process, *(tail.process for tail in getattr(self, "tails", []))]
        for process in processes:
            if process and process.poll() is None:
                process.kill()
                process.wait()
        self.link.remove()
        if self.arguments.keep or self.wrong:
            print(f"left: {self.place.root}")
        else:
            self.place.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--rotate-every", default="2s")
    parser.add_argument("--rotate", default="rename,copytruncate,compress,delete")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--without", default="")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    chaos = Chaos(arguments)
    try:
        chaos.run()
    finally:
        chaos.close()
    print("survived:", ", ".join(f"{count} {name}" for name, count in sorted(chaos.count.items())))
    for wrong in chaos.wrong:
        print("WRONG:", wrong)
    sys.exit(1 if chaos.wrong else 0)


if __name__ == "__main__":
    main()
