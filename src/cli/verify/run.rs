//! One run: a daemon or a host, the clients, then the writers; what is left is read, and what came is told.

use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::watch,
    time::{interval, timeout},
};

use super::{
    super::{
        print,
        sources::exit_of,
        tail::{Environment, Exit, Refusal, escape_text, resolve_hosts, watch_signals},
    },
    VerifyArgs,
    daemon::Daemon,
    progress::{Progress, Standing},
    report::{Client, Format, Report},
    rotate::{Rotation, Written},
    subscriber::{Kind, Phase, Subscriber},
    writer::{Plan, Writers},
};
use crate::{
    client::{ListError, Target, list_sources},
    limits::ANSWER_MAX,
};

/// Clients and writers are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs `logtap verify` to its end.
pub fn run(args: &VerifyArgs) -> Exit {
    match begin(args) {
        Ok(exit) => exit,
        Err(Refusal { exit, why }) => {
            eprintln!("logtap: {}", escape_text(&why));
            exit
        }
    }
}

fn failed(why: impl ToString) -> Refusal {
    Refusal { exit: Exit::Failed, why: why.to_string() }
}

fn begin(args: &VerifyArgs) -> Result<Exit, Refusal> {
    let asked = watch_signals().map_err(failed)?;
    let place = Place::prepare(args.directory.as_deref())?;
    let clock = jiff::Timestamp::now().as_nanosecond();
    let seed = args.seed.unwrap_or_else(|| u64::try_from(clock / 1_000_000).unwrap_or(0) % 1_000_000_000);
    let plan = Arc::new(Plan {
        directory: place.path().to_owned(),
        prefix: format!("verify-{seed}-{}-", process::id()),
        logs: args.logs,
        rate: args.rate,
        duration: args.duration,
        rotations: args.rotate.clone(),
        rotate_every: args.rotate_every,
        keep: args.keep,
        seed,
        started: Instant::now(),
    });
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let result = runtime.block_on(prepared(args, &plan, asked));
    runtime.shutdown_background();
    if args.leave {
        eprintln!("logtap: the logs are in {}", escape_text(&plan.directory.display().to_string()));
    } else {
        clean(&plan);
    }
    result
}

/// Starts or finds the daemon, and runs.
async fn prepared(args: &VerifyArgs, plan: &Arc<Plan>, asked: watch::Receiver<Option<Exit>>) -> Result<Exit, Refusal> {
    // The logs are there before the daemon: it is to know them, and where they begin.
    let logs = (0..plan.logs).map(|log| {
        let path = plan.path(log);
        Written::create(path.clone(), plan.keep).map_err(|error| failed(format!("{}: {error}", path.display())))
    });
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    let (target, daemon) = match &args.host {
        None => {
            let daemon = Daemon::start(&plan.directory)?;
            (daemon.target()?, Some(daemon))
        }
        Some(host) => {
            let mut targets = resolve_hosts(std::slice::from_ref(host), &args.access, &Environment::read())?;
            if targets.len() != 1 {
                return Err(Refusal::usage(format!("`{host}` is {} hosts", targets.len())));
            }
            let target = targets.remove(0);
            find(&target, plan).await?;
            (target, None)
        }
    };
    Run::new(args, Arc::clone(plan), daemon).run(&target, logs, asked).await
}

/// Where the logs are written.
enum Place {
    /// A directory that somebody named.
    Named(PathBuf),
    /// One that was made for the run.
    Made(PathBuf),
}

impl Place {
    fn prepare(named: Option<&Path>) -> Result<Self, Refusal> {
        let told = |path: &Path, error: io::Error| failed(format!("{}: {error}", path.display()));
        match named {
            Some(path) => {
                fs::create_dir_all(path).map_err(|error| told(path, error))?;
                Ok(Self::Named(path.canonicalize().map_err(|error| told(path, error))?))
            }
            None => {
                let path = env::temp_dir().join(format!("logtap-verify-{}", process::id()));
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| told(&path, error))?;
                Ok(Self::Made(path))
            }
        }
    }

    fn path(&self) -> &Path {
        let (Self::Named(path) | Self::Made(path)) = self;
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self {
            Self::Named(_) => {}
            // Somebody else's file in it, if there is one, is left.
            Self::Made(path) => drop(fs::remove_dir(path)),
        }
    }
}

/// Removes every file of the run.
fn clean(plan: &Plan) {
    for entry in fs::read_dir(&plan.directory).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(plan.prefix.as_bytes()) {
            // One that cannot be removed is no reason to leave the others.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Waits until the host knows the logs.
async fn find(target: &Target, plan: &Plan) -> Result<(), Refusal> {
    let until = Instant::now() + ANSWER_MAX;
    loop {
        let sources = list_sources(target, &[]).await.map_err(|error| refusal(target, &error))?;
        let files = sources.iter().flat_map(|source| &source.files);
        let known = files.filter(|file| plan.log_of(file.log.as_bytes()).is_some()).count();
        if known >= plan.logs as usize {
            return Ok(());
        }
        if Instant::now() >= until {
            let (name, directory) = (&target.name, plan.directory.display());
            return Err(failed(format!("{name}: no source has the logs: one has to match {directory}/*.log")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn refusal(target: &Target, error: &ListError) -> Refusal {
    Refusal { exit: exit_of(error), why: format!("{}: {error}", target.name) }
}

/// What a run is made of.
struct Run<'a> {
    args: &'a VerifyArgs,
    plan: Arc<Plan>,
    /// Its own daemon, if it has one; ends with the run.
    daemon: Option<Daemon>,
    clients: Vec<Arc<Subscriber>>,
    phase: watch::Sender<Phase>,
    progress: Progress,
}

impl<'a> Run<'a> {
    fn new(args: &'a VerifyArgs, plan: Arc<Plan>, daemon: Option<Daemon>) -> Self {
        let kinds = [(Kind::Fast, args.fast), (Kind::Slow, args.slow), (Kind::Killed, args.killed)];
        let clients = kinds.into_iter().flat_map(|(kind, count)| (1..=count).map(move |number| (kind, number)));
        let clients = clients.map(|(kind, number)| Subscriber::new(kind, number, plan.logs)).collect();
        let progress = Progress::new(args.quiet);
        Self { args, plan, daemon, clients, phase: watch::channel(Phase::Writing).0, progress }
    }

    async fn run(
        mut self,
        target: &Target,
        logs: Vec<Written>,
        mut asked: watch::Receiver<Option<Exit>>,
    ) -> Result<Exit, Refusal> {
        for (number, client) in self.clients.iter().enumerate() {
            let seed = self.plan.seed.wrapping_mul(1000).wrapping_add(number as u64);
            let phase = self.phase.subscribe();
            tokio::spawn(Arc::clone(client).run(target.clone(), Arc::clone(&self.plan), phase, seed));
        }
        self.until_answered(target).await?;
        let began = Instant::now();
        let mut writers = Writers::start(&self.plan, logs).map_err(failed)?;
        let signal = tokio::select! {
            Ok(exit) = asked.wait_for(Option::is_some) => *exit,
            () = self.until_read(&writers, began) => None,
        };
        self.phase.send_replace(Phase::Over);
        let seconds = began.elapsed().min(self.plan.duration).as_secs_f64();
        writers.end();
        self.progress.clear();
        let report = self.report(&writers, seconds);
        print(
            match self.args.output {
                Format::Table => report.table(),
                Format::Json => report.json(),
            }
            .as_bytes(),
        )
        .map_err(failed)?;
        Ok(signal.unwrap_or(if report.exact { Exit::Ok } else { Exit::Failed }))
    }

    /// Waits until the host has answered every client.
    async fn until_answered(&self, target: &Target) -> Result<(), Refusal> {
        let mut looks = interval(LOOK_EVERY);
        let answered = async {
            while !self.clients.iter().all(|client| client.has_been_answered()) {
                if let Some((exit, why)) = self.clients.iter().find_map(|client| client.failure()) {
                    return Err(Refusal { exit, why: format!("{}: {why}", target.name) });
                }
                looks.tick().await;
            }
            Ok(())
        };
        // A host that answers some clients and not others leaves those waiting.
        let late = || Refusal { exit: Exit::NoAnswer, why: format!("{}: no answer", target.name) };
        timeout(2 * ANSWER_MAX, answered).await.unwrap_or_else(|_| Err(late()))
    }

    /// Waits until all is written and read, or nothing more comes.
    async fn until_read(&mut self, writers: &Writers, began: Instant) {
        let mut looks = interval(LOOK_EVERY);
        while !writers.are_done() {
            looks.tick().await;
            self.show("writing", writers, began.elapsed(), self.plan.duration);
        }
        self.phase.send_replace(Phase::CatchingUp);
        let written = writers.tally.lines();
        let mut moved = (0, Instant::now());
        loop {
            let waited_for =
                |client: &&Arc<Subscriber>| client.failure().is_none() && !client.judge().has_seen(&written);
            if !self.clients.iter().any(|client| waited_for(&client)) || moved.1.elapsed() >= self.args.patience {
                return;
            }
            let received = self.clients.iter().map(|client| client.judge().received()).sum();
            if moved.0 != received {
                moved = (received, Instant::now());
            }
            self.show("reading the rest", writers, moved.1.elapsed(), self.args.patience);
            looks.tick().await;
        }
    }

    fn show(&mut self, doing: &'static str, writers: &Writers, elapsed: Duration, of: Duration) {
        let written = writers.tally.lines();
        let total: u64 = written.iter().sum();
        let mut standing = Standing { doing, elapsed, of, written: total, behind: 0, wrong: 0 };
        for client in &self.clients {
            let judge = client.judge();
            standing.behind = standing.behind.max(total.saturating_sub(judge.received()));
            standing.wrong += judge.wrong_so_far();
        }
        self.progress.show(standing);
    }

    fn report(&self, writers: &Writers, seconds: f64) -> Report {
        let tally = &writers.tally;
        let (written, deleted) = (tally.lines(), tally.deleted());
        let client = |client: &Arc<Subscriber>| {
            let judge = client.judge();
            let counts = judge.counts(&written, &deleted);
            Client::new(&client.name, &judge, counts, client.resumes.load(Relaxed), client.trouble())
        };
        let mut failures: Vec<String> = tally.failure().into_iter().collect();
        for client in &self.clients {
            failures.extend(client.failure().map(|(_, why)| format!("{}: {why}", client.name)));
        }
        let exact = failures.is_empty()
            && self.clients.iter().all(|client| client.judge().counts(&written, &deleted).is_exact());
        if !exact && let Some(daemon) = &self.daemon {
            failures.extend(daemon.last_words().into_iter().map(|line| format!("the daemon said: {line}")));
        }
        Report {
            exact,
            seed: self.plan.seed,
            seconds,
            lines: written.iter().sum(),
            bytes: tally.bytes.load(Relaxed),
            logs: self.plan.logs,
            rotations: Rotation::ALL.into_iter().map(Rotation::plural).zip(tally.rotations()).collect(),
            skipped_rotations: tally.skipped.load(Relaxed),
            clients: self.clients.iter().map(client).collect(),
            failures,
        }
    }
}
