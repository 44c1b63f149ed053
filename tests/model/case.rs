//! One case: a world, a daemon, subscribers, and a list of actions that happen to them.

use logtap::limits::CACHE_BYTES_DEFAULT;

use crate::{
    action::{Action, By, Counts, Random, Squeeze},
    daemon::{Daemon, Start},
    reader::{self, Reader},
    world::{Gen, World},
};

/// Subscribers of a case.
const READERS: usize = 4;

/// A case to be run.
#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    pub actions: Vec<Action>,
}

impl Case {
    /// The case that belongs to a seed: 20 to 200 actions, more often few than many.
    pub fn of(seed: u64, without: &[String]) -> Self {
        let mut random = Random(seed);
        let count = 20 + random.below(181).min(random.below(181)).min(random.below(181));
        let mut actions: Vec<_> = (0..count).map(|_| Action::random(&mut random)).collect();
        actions.retain(|action| !without.iter().any(|kind| kind == action.kind()));
        Self { seed, actions }
    }

    /// Bytes of the daemon's cache: none, about one record, or what is usual.
    fn cache(&self) -> usize {
        [0, 1_024, CACHE_BYTES_DEFAULT as usize][(self.seed % 3) as usize]
    }

    /// Runs it; says at which action what went wrong.
    pub async fn run(&self, counts: &mut Counts) -> Result<(), String> {
        let mut random = Random(self.seed ^ 0x5eed);
        let world = World::new(&mut random);
        let mut run = Run { cache: self.cache(), world, random, daemon: None, down: 0, readers: Vec::new() };
        run.begin().await?;
        for (index, action) in self.actions.iter().enumerate() {
            let told = run.act(action, counts).await;
            told.map_err(|why| format!("action {index}, {action:?}: {why}\n{}", run.world.picture()))?;
        }
        run.end().await.map_err(|why| format!("at the end: {why}\n{}", run.world.picture()))
    }
}

struct Run {
    cache: usize,
    world: World,
    random: Random,
    /// None while it is down.
    daemon: Option<Daemon>,
    /// Actions until the daemon is back.
    down: u8,
    readers: Vec<Reader>,
}

impl Run {
    async fn begin(&mut self) -> Result<(), String> {
        for log in 0..self.world.logs.len() {
            if !self.random.one_in(4) {
                self.world.append(log, 3, &mut self.random);
            }
        }
        let daemon = Daemon::start(&self.world.path(""), self.cache);
        for index in 0..READERS {
            let start = if index % 2 == 0 { Start::New } else { Start::All };
            let mut reader = Reader::begin(&daemon, &self.world, start).await?;
            reader.read_on(&self.world).await?;
            self.readers.push(reader);
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    async fn act(&mut self, action: &Action, counts: &mut Counts) -> Result<(), String> {
        self.world.tick();
        if self.down > 0 {
            self.down -= 1;
            if self.down == 0 {
                self.start().await?;
            }
        }
        if self.happen(action).await? {
            counts.note(action);
        }
        self.settle().await
    }

    /// Does what the action says; false where it is not possible.
    async fn happen(&mut self, action: &Action) -> Result<bool, String> {
        let (log_count, reader_count) = (self.world.logs.len(), self.readers.len());
        let log_of = |log: u8| usize::from(log) % log_count;
        let reader_of = |reader: u8| usize::from(reader) % reader_count;
        Ok(match *action {
            Action::Append { log, lines, size } => {
                let lines = 1 + usize::from(lines) % if size < 16 { 300 } else { 6 };
                let before = self.world.contents.len();
                self.world.append(log_of(log), lines, &mut self.random);
                self.met(before, None);
                true
            }
            Action::AppendPart { log } => {
                let before = self.world.contents.len();
                self.world.append_part(log_of(log), &mut self.random);
                self.met(before, None);
                true
            }
            Action::AppendLate { log, whole } => self.world.append_late(log_of(log), whole, &mut self.random),
            Action::Rotate { log, create, seen_between } => self.rotate(log_of(log), create, seen_between).await?,
            Action::CopyTruncate { log, seen_between } => self.copy_truncate(log_of(log), seen_between).await?,
            Action::Compress { log, how, seen_between } => self.compress(log_of(log), how, seen_between).await?,
            Action::Truncate { log } => {
                let before = self.world.contents.len();
                let old = self.world.logs[log_of(log)].live;
                let done = self.world.truncate(log_of(log));
                self.met(before, old.map(|old| (old, false)));
                done
            }
            Action::Outgrow { log } => {
                let before = self.world.contents.len();
                let old = self.world.logs[log_of(log)].live;
                let done = self.world.outgrow(log_of(log), &mut self.random);
                self.met(before, old.map(|old| (old, false)));
                done
            }
            Action::Delete { log } => self.world.delete(log_of(log)),
            Action::Retarget { log } => {
                let links = (0..log_count).filter(|log| self.world.logs[*log].style == crate::world::Style::Link);
                let links: Vec<usize> = links.collect();
                let before = self.world.contents.len();
                let done = self.world.retarget(links[usize::from(log) % links.len()], &mut self.random);
                self.met(before, None);
                done
            }
            Action::NewLog => self.world.new_log(),
            Action::Age => {
                self.world.age();
                self.daemon.iter().for_each(Daemon::age);
                true
            }
            Action::Restart { away } => self.restart(away).await?,
            Action::Stall { reader } => {
                let reader = &mut self.readers[reader_of(reader)];
                reader.stalled |= reader.is_here();
                reader.stalled
            }
            Action::Nibble { reader, pieces } => {
                let reader = &mut self.readers[reader_of(reader)];
                let done = reader.stalled;
                if done {
                    reader.nibble(&self.world, 1 + usize::from(pieces) % 5).await?;
                }
                done
            }
            Action::GoOn { reader } => std::mem::take(&mut self.readers[reader_of(reader)].stalled),
            Action::Cancel { reader, undone } => {
                let reader = &mut self.readers[reader_of(reader)];
                let was_here = reader.is_here();
                reader.leave(usize::from(undone) % 12);
                was_here
            }
            Action::Resume { reader, by } => {
                let reader = reader_of(reader);
                // Who is here goes and comes back at once.
                match &self.daemon {
                    Some(daemon) => {
                        self.readers[reader].leave(0);
                        self.readers[reader].come_back(daemon, &self.world, by).await?;
                        true
                    }
                    None => false,
                }
            }
            Action::ReadAll => match &self.daemon {
                Some(daemon) => {
                    reader::read_all(daemon, &self.world).await?;
                    true
                }
                None => false,
            },
        })
    }

    async fn rotate(&mut self, log: usize, create: bool, seen_between: bool) -> Result<bool, String> {
        if !self.world.rotate(log) {
            return Ok(false);
        }
        if seen_between {
            self.settle().await?;
        }
        if create {
            let before = self.world.contents.len();
            self.world.live(log);
            self.met(before, None);
        }
        Ok(true)
    }

    async fn copy_truncate(&mut self, log: usize, seen_between: bool) -> Result<bool, String> {
        let Some(old) = self.world.logs[log].live else { return Ok(false) };
        if !self.world.copy(log) {
            return Ok(false);
        }
        if seen_between {
            self.settle().await?;
        }
        let before = self.world.contents.len();
        self.world.truncate(log);
        // Nobody adds to a copy, where it is known for one: while nobody waits for it nobody looks.
        let is_awaited = self.readers.iter().any(Reader::is_here);
        self.world.contents[old].finished |= is_awaited;
        self.met(before, Some((old, true)));
        Ok(true)
    }

    async fn compress(&mut self, log: usize, how: Squeeze, seen_between: bool) -> Result<bool, String> {
        let Some(index) = self.world.squeeze(log, how) else { return Ok(false) };
        if seen_between {
            self.settle().await?;
        }
        self.world.drop_plain(log, index, how);
        Ok(true)
    }

    /// Tells those who follow of the contents that came to be.
    fn met(&mut self, before: Gen, overwrites: Option<(Gen, bool)>) {
        for new in before..self.world.contents.len() {
            for reader in self.readers.iter_mut().filter(|reader| reader.is_here()) {
                reader.meet(&self.world, new, overwrites);
            }
        }
    }

    async fn restart(&mut self, away: u8) -> Result<bool, String> {
        if self.daemon.take().is_none() {
            return Ok(false);
        }
        self.readers.iter_mut().for_each(|reader| reader.leave(0));
        self.down = away;
        if away == 0 {
            self.start().await?;
        }
        Ok(true)
    }

    /// Another daemon begins; the subscribers come back, the most with a cursor of the whole stream.
    async fn start(&mut self) -> Result<(), String> {
        self.down = 0;
        self.world.epoch += 1;
        // To a daemon that begins now they have been quiet since they were last written.
        self.world.age();
        let daemon = Daemon::start(&self.world.path(""), self.cache);
        for reader in &mut self.readers {
            let by = [By::Whole, By::Whole, By::Overlay, By::Entry][self.random.below(4) as usize];
            reader.come_back(&daemon, &self.world, by).await.map_err(|why| format!("back by {by:?}: {why}"))?;
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Everything that happened is taken in, and everybody who reads has everything.
    async fn settle(&mut self) -> Result<(), String> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        daemon.look();
        for (index, reader) in self.readers.iter_mut().enumerate() {
            if reader.is_here() && !reader.stalled {
                reader.read_on(&self.world).await.map_err(|why| format!("reader {index}: {why}"))?;
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), String> {
        if self.daemon.is_none() {
            self.start().await?;
        }
        self.readers.iter_mut().for_each(|reader| reader.stalled = false);
        self.settle().await?;
        let Some(daemon) = &self.daemon else { return Ok(()) };
        reader::read_all(daemon, &self.world).await
    }
}
