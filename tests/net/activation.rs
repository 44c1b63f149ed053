//! Sockets of the service manager. They come by descriptor number, so this needs a process of its own, too.

use std::{
    env,
    net::TcpListener,
    process::{Command, Stdio},
};

use logtap::server::net::{ConnectionLimits, Listen, Listeners};
use tokio::net::TcpStream;

use crate::support::{Server, get, http1, soon, text};

/// The address of the inherited socket.
const INSIDE: &str = "LOGTAP_TEST_ACTIVATION";

#[test]
fn sockets_of_the_service_manager_are_taken_and_the_missing_ones_are_bound() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = socket.local_addr().expect("it is bound").to_string();
    // The shell becomes the program, so `$$` is the program's process id as well.
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --exact activation::inside --nocapture 3<&0"#;
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(env::current_exe().expect("we run"))
        .env(INSIDE, &address)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .output()
        .expect("there is a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

/// Does nothing unless it runs in a process of its own.
#[tokio::test]
async fn inside() {
    let Ok(address) = env::var(INSIDE) else {
        return;
    };
    // Without the inherited socket this address would be in use.
    let listen = [Listen::Tcp(address.clone()), Listen::Tcp("127.0.0.1:0".to_owned())];
    let listeners = Listeners::open(&listen).expect("one is inherited, the other is free");
    let addresses: Vec<String> = listeners.addresses().map(ToString::to_string).collect();
    assert_eq!((addresses.len(), &addresses[0]), (2, &address));
    assert_eq!(Listeners::open(&[]).expect("there is nothing to do").addresses().count(), 0, "they are taken once");

    let _server = Server::start_with(listeners, None, ConnectionLimits::default());
    for address in &addresses {
        let (mut send, _connection) = http1(TcpStream::connect(address).await.expect("the server listens")).await;
        let response = soon("the answer", send.send_request(get("/info"))).await.expect("it is answered");
        assert!(text(response).await.contains(address));
    }
}
