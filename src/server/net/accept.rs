//! Accepting connections until told to stop, and seeing every one of them to its end.

use std::{io, sync::Arc};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Address, CloseReason, ConnectionLimits, Connections, Ending, Listeners, NoPlace, Peer,
    connection::{self, Handler, HttpService},
    listen::Listener,
    socket::Socket,
    sweep::sweep,
    tls::Tls,
};
use crate::{limits, server::reached::Reached, telemetry::Limit};

/// What [`serve`] works with.
#[derive(Debug)]
pub struct Serving {
    /// Where to accept.
    pub listeners: Listeners,
    /// Set: what is spoken on TCP is TLS.
    pub tls: Option<Arc<Tls>>,
    /// What to keep to.
    pub limits: ConnectionLimits,
    /// Where the connections stand while they are open.
    pub connections: Arc<Connections>,
    /// Cancelled: stop accepting, wind every connection down, and close what is left when `limits.drain` has passed.
    pub shutdown: CancellationToken,
}

/// What the tasks of one [`serve`] share.
struct Shared<S> {
    handler: Handler<S>,
    limits: ConnectionLimits,
    connections: Arc<Connections>,
    places: Arc<Semaphore>,
    /// Places for those who are told that there is no place.
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    wind_down: CancellationToken,
    close: CancellationToken,
}

/// What to do after `accept` failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterFailure {
    /// The connection was gone before we took it: take the next.
    Next,
    /// The system has no descriptor or no memory left: taking the next at once would fail the same way, for ever.
    Pause,
}

/// Serves until `shutdown` is cancelled and every connection has ended. Dropping it closes all connections at once.
///
/// Each request carries an `Arc<ConnectionInfo>` in its extensions. `service` is cloned for each request.
pub async fn serve<S: HttpService>(serving: Serving, service: S) {
    let Serving { listeners, tls, limits, connections, shutdown } = serving;
    let close = CancellationToken::new();
    let _close_when_dropped = close.clone().drop_guard();
    let shared = Arc::new(Shared {
        handler: Handler::new(service, tls, &limits),
        places: Arc::new(Semaphore::new(limits.connections)),
        refusals: Arc::new(Semaphore::new(limits::REFUSALS_MAX)),
        limits: limits.clone(),
        connections: connections.clone(),
        tasks: TaskTracker::new(),
        wind_down: shutdown.clone(),
        close: close.clone(),
    });
    for listener in listeners.all {
        shared.tasks.spawn(accept_loop(listener, shared.clone()));
    }
    let sweeping = CancellationToken::new();
    let _sweep_until_dropped = sweeping.clone().drop_guard();
    let sweeper = tokio::spawn(sweep(connections.clone(), limits.clone(), sweeping.clone()));

    shutdown.cancelled().await;
    shared.tasks.close();
    if timeout(limits.drain, shared.tasks.wait()).await.is_err() {
        tracing::warn!(connections = connections.count(), "closing the connections that are left");
        close.cancel();
        shared.tasks.wait().await;
    }
    sweeping.cancel();
    // The sweep has no result; if it panicked, that was reported by then.
    let _ = sweeper.await;
}

async fn accept_loop<S: HttpService>(listener: Listener, shared: Arc<Shared<S>>) {
    let stop = shared.wind_down.clone();
    let accept = async {
        let mut pause = limits::ACCEPT_PAUSE_MIN;
        loop {
            match listener.accept().await {
                Ok((socket, peer, local)) => {
                    pause = limits::ACCEPT_PAUSE_MIN;
                    match shared.place(peer).await {
                        Ok(place) => shared.admit(socket, peer, local, place),
                        Err(why) => shared.refuse(socket, peer, local, why),
                    }
                }
                Err(error) => match after_failure(&error) {
                    AfterFailure::Next => {}
                    AfterFailure::Pause => {
                        shared.report_exhausted(&listener.address, &error);
                        sleep(pause).await;
                        pause = (pause * 2).min(limits::ACCEPT_PAUSE_MAX);
                    }
                },
            }
        }
    };
    tokio::select! {
        biased;
        () = shared.close.cancelled() => {}
        () = stop.cancelled() => {}
        () = accept => {}
    }
}

impl<S: HttpService> Shared<S> {
    /// A place for a connection, taken from another one if need be; what stands in the way when all are at work.
    async fn place(&self, peer: Peer) -> Result<OwnedSemaphorePermit, NoPlace> {
        if let Some(address) = peer.ip().filter(|_| !peer.is_local())
            && self.connections.count_of(address) >= self.limits.connections_per_address
            && !self.connections.make_room_of(address)
        {
            return Err(NoPlace::ForAddress);
        }
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        if !self.connections.make_room() {
            return Err(NoPlace::Anywhere);
        }
        let place = timeout(limits::ROOM_WAIT_MAX, self.places.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or(NoPlace::Anywhere)
    }

    fn admit(&self, socket: Socket, peer: Peer, local: Address, place: OwnedSemaphorePermit) {
        let registered = self.connections.enter(socket, peer, local, &self.wind_down, &self.close);
        let (handler, connections) = (self.handler.clone(), self.connections.clone());
        self.tasks.spawn(async move {
            let ending = connection::run(&registered.connection, handler).await;
            connections.count_ended(ending);
            let connection = &registered.connection;
            note_ending(connections.reached(), &connection.peer, ending);
            tracing::debug!(id = %connection.id, peer = %connection.peer, %ending, "connection ended");
            // First out of the list, then its place is free: the list is never longer than there are places.
            drop(registered);
            drop(place);
        });
    }

    /// Answers the first request with a refusal, if it comes soon and not too many others are told the same.
    fn refuse(&self, socket: Socket, peer: Peer, local: Address, why: NoPlace) {
        self.connections.count_refused();
        self.connections.reached().note(why.limit(), &peer, "refused a connection: all places are taken");
        let Ok(place) = self.refusals.clone().try_acquire_owned() else { return };
        let connection = self.connections.make(socket, peer, local, &self.wind_down, &self.close);
        let (handler, patience) = (self.handler.clone().refusing(why), self.limits.handshake);
        self.tasks.spawn(async move {
            // Its streams end with it.
            let _close = connection.close.clone().drop_guard();
            let _ = timeout(patience, connection::run(&connection, handler)).await;
            drop(place);
        });
    }

    fn report_exhausted(&self, address: &Address, error: &io::Error) {
        self.connections.count_accept_failure();
        let what = format!("cannot accept connections for now: {error}");
        self.connections.reached().note(Limit::Descriptors, address, &what);
    }
}

/// What ended because of a limit is noted as such.
fn note_ending(reached: &Reached, peer: &Peer, ending: Ending) {
    match ending {
        Ending::Silent => reached.note(Limit::Handshake, peer, "closed a connection that did not say what it wanted"),
        Ending::Closed(CloseReason::MadeRoom) => {
            reached.note(Limit::Connections, peer, "closed an idle connection to make room for another");
        }
        Ending::Closed(CloseReason::Stalled | CloseReason::DeadlinePassed) => {
            reached.note(Limit::Stall, peer, "closed a connection that nobody reads");
        }
        Ending::Closed(CloseReason::PeerGone | CloseReason::Stopped)
        | Ending::Finished
        | Ending::Broken
        | Ending::Tls => {}
    }
}

/// Unknown errors pause too: a loop that spins is worse than one that is late.
fn after_failure(error: &io::Error) -> AfterFailure {
    match error.raw_os_error() {
        Some(
            libc::ECONNABORTED | libc::ECONNRESET | libc::EINTR | libc::EAGAIN | libc::EPROTO | libc::EPERM
            // Errors of the network that were pending on the new socket: accept(2) says to treat them as EAGAIN.
            | libc::ENETDOWN | libc::ENOPROTOOPT | libc::EHOSTDOWN | libc::ENONET | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP | libc::ENETUNREACH | libc::ENOTCONN,
        ) => AfterFailure::Next,
        Some(_) | None => AfterFailure::Pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_system_that_has_run_out_makes_the_loop_pause() {
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::EBADF] {
            assert_eq!(after_failure(&io::Error::from_raw_os_error(code)), AfterFailure::Pause, "{code}");
        }
        for code in [libc::ECONNABORTED, libc::EINTR, libc::EHOSTUNREACH, libc::ENOTCONN] {
            assert_eq!(after_failure(&io::Error::from_raw_os_error(code)), AfterFailure::Next, "{code}");
        }
    }
}
