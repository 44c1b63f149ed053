//! A process that has run out of descriptors. It is one of its own, since the limit is the whole process's.

use std::{
    env,
    process::Command,
    time::{Duration, Instant},
};

use logtap::server::net::{ConnectionLimits, raise_descriptor_limit};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Server, eventually, get, http1, soon, text};

const INSIDE: &str = "LOGTAP_TEST_EXHAUSTION";

#[test]
fn without_descriptors_the_accept_loop_rests_and_goes_on_when_there_are_some() {
    let output = Command::new(env::current_exe().expect("we run"))
        .args(["--exact", "exhaustion::inside", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("we can run ourselves");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Does nothing unless it runs in a process of its own.
#[tokio::test]
async fn inside() {
    if env::var_os(INSIDE).is_none() {
        return;
    }
    let server = Server::start(ConnectionLimits::default());
    // Connected, but not accepted before the limit is lowered: nothing is awaited in between.
    let client = std::net::TcpStream::connect(server.tcp()).expect("the server listens");
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).expect("one may lower it");

    eventually("the failure to be noticed", || server.connections.totals().accept_failures > 0).await;
    let (started, cpu_before) = (Instant::now(), cpu_time());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (passed, used) = (started.elapsed(), cpu_time() - cpu_before);
    assert!(used < passed / 4, "{used:?} of {passed:?} spent on trying again");
    assert!(server.connections.totals().accept_failures < 12);

    assert_eq!(raise_descriptor_limit().expect("one may raise it"), limit.maximum);
    eventually("the connection to be accepted", || server.connections.count() == 1).await;
    client.set_nonblocking(true).expect("it is a socket");
    let (mut send, _connection) = http1(tokio::net::TcpStream::from_std(client).expect("it is a socket")).await;
    let response = soon("the answer", send.send_request(get("/info"))).await.expect("it is answered");
    assert!(text(response).await.contains("Tcp"));
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().expect("it is positive"), time.tv_nsec.try_into().expect("it is positive"))
}
