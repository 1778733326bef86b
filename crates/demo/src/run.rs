//! The demo from begin to end.

use std::{process::ExitCode, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use waypost_proxy::{GroupReport, Proxy};

use crate::{
    Command, Demo, DemoError, child,
    figures::Figures,
    frame::Frame,
    picture,
    processes::{Condition, Members, Process},
    proxy,
    script::{CAST, Event, OPENING, events},
    show::Show,
    summary::summary,
    traffic::{self, Record, Traffic},
    view::{Scene, Shares, plain_line},
};

/// Five frames in a second look alive and cost little.
const FRAME: Duration = Duration::from_millis(200);
/// How many frames make a second.
const FRAMES_PER_SECOND: u64 = 5;
/// How long the first round of probes may take.
const PROBES_LIMIT: Duration = Duration::from_secs(5);
/// More than can be under way at a time.
const MAX_WAITING: usize = 4096;
/// The lines of a frame and the one that the cursor is in.
const MIN_ROWS: usize = 18;

/// Runs a command of the demo. The exit code is 0 if no connection was lost, otherwise 1.
///
/// # Errors
///
/// If the demo cannot be run, whatever becomes of connections.
pub fn run(command: &Command) -> Result<ExitCode, DemoError> {
    let failed = DemoError::system("to start a runtime");
    let runtime = match command {
        Command::Demo(_) => Builder::new_multi_thread().enable_all().build(),
        Command::DemoMember(_) | Command::DemoOrigin => Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.map_err(failed)?;
    let result = run_in(&runtime, command);
    // A read from standard input that never ends must not hold the process back.
    runtime.shutdown_background();
    result
}

fn run_in(runtime: &Runtime, command: &Command) -> Result<ExitCode, DemoError> {
    match command {
        Command::Demo(arguments) => runtime.block_on(demo(arguments)),
        Command::DemoMember(arguments) => {
            child::end_with_parent()?;
            runtime.block_on(child::member(arguments)).map(|()| ExitCode::SUCCESS)
        }
        Command::DemoOrigin => {
            child::end_with_parent()?;
            runtime.block_on(child::origin()).map(|()| ExitCode::SUCCESS)
        }
    }
}

async fn demo(arguments: &Demo) -> Result<ExitCode, DemoError> {
    let failed = "to listen for signals";
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DemoError::system(failed))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DemoError::system(failed))?;
    let show = Show::new(arguments.plain, MIN_ROWS);
    let mut members = Members::start().await?;
    let origin = Process::origin().await?;
    if !show.is_live() {
        for description in members.describe().into_iter().chain([origin.describe()]) {
            show.line(Duration::ZERO, &description)?;
        }
    }
    let (proxy, address) = proxy::start(&members.addresses(), origin.address())?;
    wait_for_probes(&proxy).await;
    let traffic =
        Traffic { proxy: address, origin: origin.address(), begin: Instant::now(), span: arguments.span() };
    let mut stage = Stage::new(&proxy, traffic, show);
    let code = stage.play(&mut members, (&mut interrupt, &mut terminate)).await?;
    members.end().await;
    if let Some(path) = &arguments.record {
        let picture = picture::animated(&stage.kept);
        std::fs::write(path, picture).map_err(|source| DemoError::Picture { path: path.clone(), source })?;
    }
    Ok(code)
}

/// Until every member was probed; the group would serve without that, too.
async fn wait_for_probes(proxy: &Proxy) {
    let begin = Instant::now();
    let all_known = || {
        let known = |group: &GroupReport| group.members.iter().all(|member| member.delay.is_some());
        proxy.groups().iter().all(known)
    };
    while !all_known() && begin.elapsed() < PROBES_LIMIT {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Something that was done to members.
#[derive(Debug)]
struct Happened {
    /// When it began.
    at: Duration,
    event: Event,
    /// What is to be known of processes that are new.
    started: Vec<String>,
}

/// Does everything to the members at its time.
async fn direct(
    members: &mut Members,
    traffic: Traffic,
    happened: mpsc::Sender<Happened>,
) -> Result<(), DemoError> {
    for event in events(traffic.span) {
        sleep_until(traffic.begin + event.at).await;
        let at = traffic.begin.elapsed();
        let started = members.act(event.act, event.members).await?;
        // Nobody looks any more.
        let _over = happened.send(Happened { at, event, started }).await;
    }
    Ok(())
}

/// What is known, and how it is shown.
struct Stage<'p> {
    proxy: &'p Proxy,
    traffic: Traffic,
    show: Show,
    figures: Figures,
    shares: Shares,
    conditions: [Condition; CAST.len()],
    titles: Vec<&'static str>,
    meaning: &'static str,
    history: Vec<Duration>,
    n_frames: u64,
    last_group: Option<GroupReport>,
    /// Every frame, for a picture.
    kept: Vec<Frame>,
}

impl<'p> Stage<'p> {
    fn new(proxy: &'p Proxy, traffic: Traffic, show: Show) -> Self {
        let mut figures = Figures::default();
        figures.begin_phase(Duration::ZERO);
        Self {
            proxy,
            traffic,
            show,
            figures,
            shares: Shares::default(),
            conditions: [Condition::Runs; CAST.len()],
            titles: vec![OPENING.0],
            meaning: OPENING.1,
            history: Vec::new(),
            n_frames: 0,
            last_group: None,
            kept: Vec::new(),
        }
    }

    /// Plays until the last answer has come, or somebody has seen enough.
    async fn play(
        &mut self,
        members: &mut Members,
        (interrupt, terminate): (&mut Signal, &mut Signal),
    ) -> Result<ExitCode, DemoError> {
        let (sender, mut records) = mpsc::channel::<Record>(MAX_WAITING);
        let traffic = tokio::spawn(traffic::run(self.traffic, sender));
        let (sender, mut happened) = mpsc::channel(CAST.len());
        let mut directing = std::pin::pin!(direct(members, self.traffic, sender));
        let mut is_directed = false;
        let mut ticks = interval(FRAME);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut n_left = 0;
        loop {
            tokio::select! {
                record = records.recv() => match record {
                    Some(record) => self.figures.add(record),
                    None => break,
                },
                Some(happened) = happened.recv() => self.take(happened)?,
                directed = &mut directing, if !is_directed => {
                    directed?;
                    is_directed = true;
                }
                _ = ticks.tick() => self.tick()?,
                _ = interrupt.recv() => { n_left = self.proxy.connections().len(); break }
                _ = terminate.recv() => { n_left = self.proxy.connections().len(); break }
            }
        }
        traffic.abort();
        self.draw(true)?;
        self.show.below(&summary(&self.figures, &self.titles, n_left))?;
        Ok(if self.figures.n_lost() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    fn now(&self) -> Duration {
        self.traffic.begin.elapsed()
    }

    fn take(&mut self, Happened { at, event, started }: Happened) -> Result<(), DemoError> {
        self.figures.begin_phase(at);
        self.titles.push(event.title);
        self.meaning = event.meaning;
        for &member in event.members {
            if let Some(condition) = self.conditions.get_mut(member) {
                *condition = Condition::after(event.act);
            }
        }
        if !self.show.is_live() {
            self.show.line(at, &format!("{} ({}): {}", event.title, event.act.signal(), event.meaning))?;
            for description in started {
                self.show.line(at, &description)?;
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<(), DemoError> {
        let is_second = self.n_frames.is_multiple_of(FRAMES_PER_SECOND);
        self.n_frames += 1;
        self.draw(is_second)
    }

    /// Shows what is so; `is_second` says whether it is time for a line.
    fn draw(&mut self, is_second: bool) -> Result<(), DemoError> {
        let now = self.now();
        let Some(group) = self.proxy.groups().into_iter().next() else { return Ok(()) };
        let last_second = self.figures.last_second(now);
        if is_second && now >= Duration::from_secs(1) {
            self.history.push(last_second.p99);
        }
        let shares = self.shares.update(now, &group);
        let scene = Scene {
            now,
            span: self.traffic.span,
            title: self.titles.last().copied().unwrap_or_default(),
            meaning: self.meaning,
            conditions: self.conditions,
            group: &group,
            shares: &shares,
            last_second,
            history: &self.history,
            n_connections: self.figures.count(),
            n_lost: self.figures.n_lost(),
        };
        let frame = scene.frame();
        if self.show.is_live() {
            self.show.frame(&frame)?;
        } else {
            for change in self.last_group.iter().flat_map(|before| changes(before, &group)) {
                self.show.line(now, &change)?;
            }
            if is_second {
                self.show.line(now, &plain_line(&scene))?;
            }
        }
        self.kept.push(frame);
        self.last_group = Some(group);
        Ok(())
    }
}

/// What became another one since the last look.
fn changes(before: &GroupReport, after: &GroupReport) -> Vec<String> {
    let mut changes: Vec<String> = before
        .members
        .iter()
        .zip(&after.members)
        .filter(|(before, after)| before.state.word() != after.state.word())
        .map(|(before, after)| format!("{}: {} -> {}", after.tag, before.state.word(), after.state))
        .collect();
    if before.tier != after.tier {
        changes.push(format!("the group is served by its {} tier", after.tier));
    }
    changes
}
