//! A server in a process of its own, so that what an attack costs it can be told.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use logtap::server::net::{ConnectionLimits, raise_descriptor_limit};
use tokio::{net::TcpStream, task::JoinHandle};

use crate::{
    support::{Server, get, http2, soon},
    wire::Wire,
};

const INSIDE: &str = "LOGTAP_TEST_TARGET";
/// What an attack may cost in memory, in bytes: a fraction of what each of them costs a server without limits.
const COST_MAX: u64 = 16 << 20;
/// Longest time that another client waits for its answer meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The server, from outside.
pub struct Target {
    child: Child,
    pub address: SocketAddr,
    /// Resident bytes before the attack.
    before: u64,
}

/// A client that means well, and asks all the time.
pub struct Witness {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<usize>,
}

impl Target {
    pub async fn start() -> Self {
        let mut child = Command::new(env::current_exe().expect("we run"))
            .args(["--exact", "target::serve", "--nocapture"])
            .env(INSIDE, "1")
            .stdout(Stdio::piped())
            .stdin(Stdio::piped())
            .spawn()
            .expect("we can run ourselves");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = stdout.lines().map(|line| line.expect("it is text"));
        let address = lines.find_map(|line| line.split_once("listening ").map(|(_, address)| address.to_owned()));
        let address = address.expect("it listens").parse().expect("it is an address");
        // It goes on writing what the test harness writes.
        std::thread::spawn(move || lines.for_each(drop));
        let mut target = Self { child, address, before: 0 };
        target.witness().await.was_served().await;
        target.before = target.memory("VmRSS");
        target
    }

    pub async fn connect(&self) -> TcpStream {
        soon("a connection", TcpStream::connect(self.address)).await.expect("the server listens")
    }

    /// A connection to attack over, with windows of `window` bytes.
    pub async fn wire(&self, window: u32) -> Wire {
        Wire::open(self.connect().await, window).await
    }

    pub async fn witness(&self) -> Witness {
        Witness::start(self.connect().await).await
    }

    /// The most memory that the server has used, beyond what it used before, in bytes.
    pub fn cost(&self) -> u64 {
        self.memory("VmHWM").saturating_sub(self.before)
    }

    /// Ends the test: nobody else suffered, and memory stayed within bounds.
    pub async fn held(&self, witness: Witness) {
        witness.was_served().await;
        // And whoever comes now.
        self.witness().await.was_served().await;
        let cost = self.cost();
        eprintln!("{}: {} KiB", std::thread::current().name().unwrap_or_default(), cost >> 10);
        assert!(cost < COST_MAX, "the attack cost {} KiB", cost >> 10);
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
    }
}

impl Witness {
    async fn start(stream: TcpStream) -> Self {
        let (mut send, _connection) = http2(stream, 1 << 20).await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let mut answers = 0;
            while answers == 0 || !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let response = soon("an answer", send.send_request(get("/info"))).await.expect("it is answered");
                assert_eq!(response.status(), StatusCode::OK);
                assert!(asked.elapsed() < WAIT_MAX, "the answer took {:?}", asked.elapsed());
                answers += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            answers
        });
        Self { stop, asking }
    }

    /// Every answer was right and in time, and there was one at least.
    pub async fn was_served(self) {
        self.stop.store(true, Ordering::Relaxed);
        let answers = soon("the last answer", self.asking).await.expect("the witness is content");
        assert!(answers > 0);
    }
}

/// The server, from inside; does nothing unless it runs in a process of its own. It ends when its parent does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    if env::var_os(INSIDE).is_none() {
        return;
    }
    raise_descriptor_limit().expect("one may raise it");
    let server = Server::start(ConnectionLimits { handshake: Duration::from_secs(1), ..ConnectionLimits::default() });
    println!("listening {}", server.tcp());
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop));
    parent.await.expect("it does not panic");
}
