//! The real program in a process of its own, so that what an attack costs it can be told: memory, processor, what the
//! kernel holds for it, and what another client notices.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

use crate::{
    support::{eventually, get, http2, soon},
    wire::Wire,
};

/// Names another build of the program than the one that these tests come with: the released one.
const PROGRAM: &str = "LOGTAP_TEST_PROGRAM";
/// What an attack may cost in memory, in bytes: a fraction of what each of them costs a server without limits. A
/// thousand TLS handshakes that stop in the middle take most of it.
const COST_MAX: u64 = 32 << 20;
/// What the same attack once more may cost beyond that: the allocator kept what was freed, and gives it out again.
const AGAIN_MAX: u64 = 4 << 20;
/// What the kernel may hold for one connection that is not read, in bytes.
pub const UNSENT_MAX: u64 = 128 << 10;
/// Longest time that another client waits for its answer meanwhile, and half of the time at most.
const WAIT_MAX: Duration = Duration::from_secs(5);
const WAIT_USUAL_MAX: Duration = Duration::from_millis(100);
const USUAL_COUNT_MIN: usize = 20;
/// Looks in a row that find nothing changed: each takes a few milliseconds, in which a daemon would send thousands of lines.
const LOOKS_ALIKE_MIN: usize = 20;
/// A daemon that has nothing to do uses less than this part of a processor.
const IDLE_SHARE: f64 = 0.2;

/// How the daemon is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Whether TLS is spoken on the port.
    pub tls: bool,
    /// Descriptors that the process may have.
    pub descriptors: Option<u32>,
    /// Lines of the log that it serves.
    pub lines: usize,
}

/// The daemon, from outside.
pub struct Target {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    directory: TempDir,
    /// Resident bytes and descriptors before the attack.
    before: (u64, usize),
}

/// A client that means well, and asks all the time.
pub struct Witness {
    stop: Arc<AtomicBool>,
    asking: std::thread::JoinHandle<Vec<Duration>>,
}

impl Target {
    pub async fn start() -> Self {
        Self::start_with(Setup { lines: 1, ..Setup::default() }).await
    }

    pub async fn start_with(setup: Setup) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = configure(&directory, setup);
        let program = env::var_os(PROGRAM).unwrap_or_else(|| env!("CARGO_BIN_EXE_logtap").into());
        let bound = setup.descriptors.map_or_else(String::new, |count| format!("ulimit -n {count}; "));
        let arguments: [&OsStr; 4] = [&program, "serve".as_ref(), "-c".as_ref(), config.as_os_str()];
        let mut child = Command::new("sh")
            .args(["-c", &format!("{bound}exec \"$0\" \"$@\"")])
            .args(arguments)
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM")
            .env_remove("LOGTAP_LOG")
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let (log, mut address) = (Arc::new(Mutex::new(String::new())), None);
        for line in lines.by_ref() {
            push(&log, &line);
            if let Some((_, found)) = line.split_once("listening address=127.") {
                address = format!("127.{found}").parse().ok();
                break;
            }
        }
        let written = log.clone();
        std::thread::spawn(move || lines.for_each(|line| push(&written, &line)));
        let address = address.unwrap_or_else(|| panic!("it does not listen:\n{}", text_of(&log)));
        let mut target = Self { child, address, log, directory, before: (0, 0) };
        target.witness().was_served().await;
        eventually("the witness to leave", || target.metric("logtap_connections") <= 1).await;
        target.before = (target.memory("VmRSS"), target.descriptors());
        target
    }

    pub async fn connect(&self) -> TcpStream {
        soon("a connection", TcpStream::connect(self.address)).await.expect("the server listens")
    }

    /// A connection to attack over, with windows of `window` bytes.
    pub async fn wire(&self, window: u32) -> Wire {
        Wire::open(self.connect().await, window).await
    }

    pub fn witness(&self) -> Witness {
        // Where TLS is spoken on the port, this is the way around it; the places are the same.
        Witness::start(self.directory.path().join("sock"))
    }

    pub fn log(&self) -> String {
        text_of(&self.log)
    }

    /// The value of a metric, by its name and labels; 0 while it has none.
    pub fn metric(&self, name: &str) -> u64 {
        let metrics = self.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }

    fn metrics(&self) -> String {
        let path = self.directory.path().join("sock");
        let mut stream = std::os::unix::net::UnixStream::connect(path).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        // Who finds no place is closed without an answer, and asks again.
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// Waits until the daemon has filled all that it fills for readers that have stopped: nothing moves any more.
    pub async fn settled(&self) {
        let moved = || (self.metric("logtap_entries_sent_total{transport=\"grpc\"}"), self.unsent());
        let (mut last, mut looks_alike) = (moved(), 0);
        let is_still = || {
            let now = moved();
            looks_alike = if now == last { looks_alike + 1 } else { 0 };
            last = now;
            looks_alike >= LOOKS_ALIKE_MIN
        };
        eventually("everything to stand still", is_still).await;
    }

    pub fn streams(&self) -> u64 {
        let metrics = self.metrics();
        let values = metrics.lines().filter(|line| line.starts_with("logtap_streams{"));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// The most memory that the daemon has used, beyond what it used before, in bytes.
    pub fn cost(&self) -> u64 {
        self.memory("VmHWM").saturating_sub(self.before.0)
    }

    /// Bytes that the kernel holds for peers of the daemon's port: sent and not acknowledged, and not sent yet.
    pub fn unsent(&self) -> u64 {
        let table = fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
        let ours = format!("0100007F:{:04X}", self.address.port());
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let queued = rows.filter(|row| row.get(1).is_some_and(|local| *local == ours));
        queued.filter_map(|row| u64::from_str_radix(row.get(4)?.split(':').next()?, 16).ok()).sum()
    }

    /// Time of the processor that it has used.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Checks, while the attacker is still there, that nobody else suffered and that memory stayed within bounds.
    pub async fn held(&self, witness: Witness) {
        let waits = witness.was_served().await;
        // And whoever comes now.
        self.witness().was_served().await;
        let (cost, cpu) = (self.cost(), self.cpu());
        eprintln!(
            "{}: {} KiB, {} KiB unsent, {cpu:.2?} of the processor, waits of {:?}, at most {:?}",
            std::thread::current().name().unwrap_or_default(),
            cost >> 10,
            self.unsent() >> 10,
            waits[waits.len() / 2],
            waits[waits.len() - 1],
        );
        assert!(cost < COST_MAX, "the attack cost {} KiB", cost >> 10);
    }

    /// Checks that an attack that came before cost nothing that was not freed.
    pub fn cost_no_more_than(&self, before: u64) {
        let cost = self.cost();
        assert!(cost < before + AGAIN_MAX, "{} KiB, and once more {} KiB", before >> 10, cost >> 10);
    }

    /// Checks, when the attacker has gone, that everything of it is gone as well.
    pub async fn all_freed(&self) {
        eventually("streams to end", || self.streams() == 0).await;
        // The one that asks.
        eventually("connections to end", || self.metric("logtap_connections") == 1).await;
        eventually("descriptors to be closed", || self.descriptors() <= self.before.1 + 2).await;
        let (began, cpu) = (Instant::now(), self.cpu());
        tokio::time::sleep(Duration::from_millis(500)).await;
        let share = (self.cpu() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
        assert!(share < IDLE_SHARE, "it still uses {share:.2} of a processor");
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kib: u64 = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).expect("it is a number");
        kib << 10
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It is ours, and nobody else waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log());
        }
    }
}

fn push(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    log.push_str(line);
    log.push('\n');
}

fn text_of(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}

/// Writes the log and the configuration.
fn configure(directory: &TempDir, setup: Setup) -> PathBuf {
    let path = |name: &str| directory.path().join(name);
    let line = format!("{}\n", "a line of some length, as they are ".repeat(4));
    fs::write(path("app.log"), line.repeat(setup.lines)).expect("it is written");
    let mut config = format!(
        "[server]\nlisten = [\"127.0.0.1:0\", \"unix:{}\"]\n[[source]]\nname = \"app\"\npaths = [\"app.log\"]\n",
        path("sock").display()
    );
    if setup.tls {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(path("cert.pem"), made.cert.pem()).expect("it is written");
        fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("it is written");
        fs::set_permissions(path("key.pem"), fs::Permissions::from_mode(0o600)).expect("it is ours");
        config.push_str("[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n");
    }
    fs::write(path("logtap.toml"), config).expect("it is written");
    path("logtap.toml")
}

impl Witness {
    /// It runs on a thread of its own: what it waits for is the daemon, never the attacker.
    fn start(socket: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let asking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(ask(&socket, &stopped))
        });
        Self { stop, asking }
    }

    /// Every answer was right and in time, and there was one at least; how long it waited, in order.
    pub async fn was_served(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(move || self.asking.join());
        let waits = soon("the last answer", joined).await.expect("it is joined");
        let mut waits = waits.expect("the witness is content");
        waits.sort_unstable();
        let (usual, most) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        // Of a few answers none is usual.
        let usual = if waits.len() < USUAL_COUNT_MIN { Duration::ZERO } else { usual };
        assert!(usual < WAIT_USUAL_MAX && most < WAIT_MAX, "the answers took {usual:?}, and {most:?} at most");
        waits
    }
}

/// Asks until told to stop, and once at least; how long each answer took.
async fn ask(socket: &Path, stopped: &AtomicBool) -> Vec<Duration> {
    let stream = UnixStream::connect(socket).await.expect("the server listens");
    let (mut send, _connection) = http2(stream, 1 << 20).await;
    let mut waits = Vec::new();
    while waits.is_empty() || !stopped.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let response = soon("an answer", send.send_request(get("/healthz"))).await.expect("it is answered");
        assert_eq!(response.status(), StatusCode::OK);
        waits.push(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    waits
}
