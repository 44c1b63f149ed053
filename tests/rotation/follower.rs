//! A subscriber that keeps what it gets and the cursor that came with it, comes back by that, and can be told to stop
//! reading for a while.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use logtap::proto::v1;
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Endpoint;

use crate::support::{PATIENCE, client::V1Client, daemon::Daemon};

/// Where a daemon listens now; it may be another one after a while.
pub type Address = Arc<Mutex<String>>;

pub fn address_of(daemon: &Daemon) -> Address {
    Arc::new(Mutex::new(daemon.address.clone()))
}

/// What a subscriber has got.
#[derive(Clone, Debug, Default)]
pub struct Got {
    /// Live path and message of every entry, in the order in which they came.
    pub entries: Vec<(String, String)>,
    pub gaps: Vec<v1::Gap>,
    /// What to come back with.
    pub resume: Vec<Vec<u8>>,
    /// How often it was connected.
    pub connections: usize,
}

impl Got {
    /// Takes a batch in as a whole.
    pub fn take(&mut self, batch: v1::StreamBatchesResponse) {
        self.entries.extend(batch.entries.into_iter().map(|entry| (entry.path, entry.message)));
        for event in batch.events {
            if let Some(v1::event::Kind::Gap(gap)) = event.kind {
                self.gaps.push(gap);
            }
        }
        if !batch.cursor_is_delta {
            self.resume.clear();
        }
        self.resume.push(batch.cursor.to_vec());
    }

    pub fn messages(&self) -> Vec<&str> {
        self.entries.iter().map(|(_, message)| message.as_str()).collect()
    }

    /// Checks that no line came twice.
    #[track_caller]
    pub fn check_unique(&self) {
        let mut seen = HashSet::new();
        let twice: Vec<_> = self.messages().into_iter().filter(|message| !seen.insert(*message)).take(5).collect();
        assert!(twice.is_empty(), "twice: {twice:?} … of {}", self.entries.len());
    }

    /// Checks that it is all lines, each once, and that nothing was said to be lost.
    #[track_caller]
    pub fn check_all(&self, lines: usize) {
        self.check_unique();
        assert_eq!(self.gaps, [], "nothing is lost");
        let got: HashSet<&str> = self.messages().into_iter().collect();
        let missing: Vec<_> = (0..lines).map(line).filter(|line| !got.contains(line.as_str())).collect();
        let some = &missing[..missing.len().min(5)];
        assert!(missing.is_empty() && got.len() == lines, "{} of {lines} missing: {some:?} …", missing.len());
    }
}

/// The line with this number.
pub fn line(number: usize) -> String {
    format!("{number:08} a line that is neither short nor long, as there are many in a log")
}

/// A subscriber to everything, from the beginning.
pub struct Follower {
    got: Arc<Mutex<Got>>,
    control: watch::Sender<Control>,
    task: JoinHandle<()>,
}

/// What it is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Control {
    reads: bool,
    /// Another number: it breaks its connection off.
    life: usize,
}

impl Follower {
    pub fn start(address: &Address) -> Self {
        let got = Arc::new(Mutex::new(Got::default()));
        let (control, controlled) = watch::channel(Control { reads: true, life: 0 });
        let task = tokio::spawn(follow(address.clone(), got.clone(), controlled));
        Self { got, control, task }
    }

    /// Starts it, and waits until it is connected.
    pub async fn connected(address: &Address) -> Self {
        let follower = Self::start(address);
        follower.until("a connection", |got| got.connections > 0).await;
        follower
    }

    /// Does not read any more.
    pub fn stop(&self) {
        self.control.send_modify(|control| control.reads = false);
    }

    /// Reads on.
    pub fn go_on(&self) {
        self.control.send_modify(|control| control.reads = true);
    }

    /// Breaks its connection off and comes back by what it has.
    pub fn break_off(&self) {
        self.control.send_modify(|control| control.life += 1);
    }

    pub fn got(&self) -> Got {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what it has got is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Got) -> bool) {
        let mut give_up = Instant::now() + PATIENCE;
        let mut before = 0;
        loop {
            let entries = {
                let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
                if wanted(&got) {
                    return;
                }
                got.entries.len()
            };
            // As long as something comes it is on its way.
            if entries > before {
                (before, give_up) = (entries, Instant::now() + PATIENCE);
            }
            if Instant::now() > give_up {
                let got = self.got();
                let last: Vec<_> = got.entries.iter().rev().take(3).collect();
                panic!("waited in vain for {what}: {entries} entries, gaps {:?}, the last {last:?}", got.gaps);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it has so many lines.
    pub async fn has(&self, lines: usize) {
        self.until(&format!("{lines} lines"), |got| got.entries.len() >= lines).await;
    }

    /// Waits until it has these messages, and no others.
    pub async fn has_exactly(&self, messages: &[&str]) {
        self.has(messages.len()).await;
        assert_eq!(self.got().messages(), messages);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What asks for everything, from the beginning or behind what was got.
pub fn request(resume: Vec<Vec<u8>>) -> v1::StreamBatchesRequest {
    let tail = resume.is_empty().then_some(u64::MAX);
    let request = v1::LogRequest { tail, resume: resume.into_iter().map(Into::into).collect(), ..Default::default() };
    v1::StreamBatchesRequest { request: Some(request), ..Default::default() }
}

async fn follow(address: Address, got: Arc<Mutex<Got>>, mut control: watch::Receiver<Control>) {
    let lock = || got.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let life = control.borrow_and_update().life;
        let to = address.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let endpoint = Endpoint::from_shared(format!("http://{to}")).expect("an address");
        let request = request(lock().resume.clone());
        let opened = async { V1Client::new(endpoint.connect().await.ok()?).stream_batches(request).await.ok() };
        let Some(opened) = opened.await else {
            // Nobody is there right now.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        lock().connections += 1;
        let mut stream = opened.into_inner();
        loop {
            let now = *control.borrow_and_update();
            if now.life != life {
                break;
            }
            tokio::select! {
                changed = control.changed() => if changed.is_err() { return },
                message = stream.message(), if now.reads => match message {
                    Ok(Some(batch)) => lock().take(batch),
                    Ok(None) | Err(_) => break,
                },
            }
        }
    }
}
