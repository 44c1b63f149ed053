//! A daemon of the run's own: this program, on a free port.

use std::{
    collections::VecDeque,
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{
    cli::tail::{Exit, Refusal},
    client::{Credentials, Route, Target},
};

/// Lines of its log that are kept, to be shown when something goes wrong.
const KEPT_LINES: usize = 20;

/// A daemon that lives as long as this value.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    address: String,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Daemon {
    /// Starts one that serves the logs in `directory`, and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or does not listen.
    pub fn start(directory: &Path) -> Result<Self, Refusal> {
        let failed = |why: String| Refusal { exit: Exit::Failed, why };
        let program = env::current_exe().map_err(|error| failed(format!("this program is not found: {error}")))?;
        let mut command = Command::new(&program);
        command.arg("serve").arg(directory.join("*.log")).args(["--listen", "127.0.0.1:0"]);
        // What a service manager says to this process is not for its child.
        for name in ["LOGTAP_CONFIG", "LOGTAP_LISTEN", "NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "JOURNAL_STREAM"]
        {
            command.env_remove(name);
        }
        command.env("LOGTAP_LOG", "info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(format!("{}: {error}", program.display())))?;
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok));
        let mut lines = lines.into_iter().flatten();
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let address = lines.find_map(|line| {
            keep(&said, &line);
            Some(line.split_once("listening address=")?.1.split_whitespace().next()?.to_owned())
        });
        let mut daemon = Self { child, address: String::new(), said };
        match address {
            Some(address) => daemon.address = address,
            None => return Err(failed(format!("the daemon does not listen: {}", daemon.last_words().join("; ")))),
        }
        let said = Arc::clone(&daemon.said);
        let read = move || lines.for_each(|line| keep(&said, &line));
        thread::Builder::new().name("daemon-log".to_owned()).spawn(read).map_err(|error| failed(error.to_string()))?;
        Ok(daemon)
    }

    /// Where it is.
    ///
    /// # Errors
    /// It said no address.
    pub fn target(&self) -> Result<Target, Refusal> {
        let route =
            Route::parse(&self.address).map_err(|error| Refusal { exit: Exit::Failed, why: error.to_string() })?;
        Ok(Target { name: "its own daemon".to_owned(), routes: vec![route], credentials: Credentials::default() })
    }

    /// What it said last.
    pub fn last_words(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what is worth telling.
fn keep(said: &Mutex<VecDeque<String>>, line: &str) {
    if line.contains(" INFO ") {
        return;
    }
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() == KEPT_LINES {
        said.pop_front();
    }
    said.push_back(line.to_owned());
}
