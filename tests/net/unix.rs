//! Unix sockets: who may connect, who connects, and whose file it is.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

use logtap::server::net::{ConnectionLimits, Listen, Listeners};
use tokio::net::UnixStream;

use crate::support::{Server, get, http1, http2, soon, text};

#[tokio::test]
async fn a_unix_socket_serves_both_versions_and_knows_its_peers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tap.sock");
    let server = Server::start_on(&[Listen::Unix(path.clone())], None, ConnectionLimits::default());
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o7777, 0o660);
    let uid = fs::metadata(directory.path()).expect("it is there").uid();
    let expected = format!(" unix:uid={uid},pid={}", std::process::id());

    let stream = UnixStream::connect(&path).await.expect("the server listens");
    let (mut send, _connection) = http1(stream).await;
    let body = text(send.send_request(get("/info")).await.expect("it is answered")).await;
    assert!(body.ends_with(&expected), "{body}");
    let stream = UnixStream::connect(&path).await.expect("the server listens");
    let (mut send, _connection) = http2(stream, 1 << 20).await;
    let body = text(send.send_request(get("/info")).await.expect("it is answered")).await;
    assert!(body.ends_with(&expected), "{body}");

    server.shutdown.cancel();
    soon("serve to return", server.done).await.expect("it does not panic");
    assert!(!path.exists(), "the socket file goes with its server");
}

#[tokio::test]
async fn a_stale_socket_file_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tap.sock");
    let listen = [Listen::Unix(path.clone())];
    drop(std::os::unix::net::UnixListener::bind(&path).expect("it is free"));
    assert!(path.exists(), "what a crash leaves");

    let live = Listeners::bind(&listen).expect("nobody answers there");
    let error = Listeners::bind(&listen).expect_err("somebody answers there");
    let expected = format!("cannot listen on unix:{}: another process listens there", path.display());
    assert_eq!(error.to_string(), expected);
    assert!(path.exists());
    drop(live);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("precious");
    fs::write(&path, "data").expect("it can be written");
    let error = Listeners::bind(&[Listen::Unix(path.clone())]).expect_err("a file is there");
    let expected = format!("cannot listen on unix:{}: a file that is not a socket is there", path.display());
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read(&path).expect("it is still there"), b"data");

    let nowhere = directory.path().join("missing/tap.sock");
    let error = Listeners::bind(&[Listen::Unix(nowhere.clone())]).expect_err("there is no such directory");
    let expected = format!("cannot listen on unix:{}: binding: ", nowhere.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    let long = directory.path().join("x".repeat(200));
    let error = Listeners::bind(&[Listen::Unix(long)]).expect_err("no socket has so long a name");
    assert!(error.to_string().contains("naming the socket: "), "{error}");
}

#[tokio::test]
async fn a_successors_socket_file_is_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tap.sock");
    let old = Listeners::bind(&[Listen::Unix(path.clone())]).expect("it is free");
    fs::remove_file(&path).expect("it is there");
    let _new = Listeners::bind(&[Listen::Unix(path.clone())]).expect("it is free");
    drop(old);
    assert!(path.exists());
}

#[tokio::test]
async fn sockets_that_listen_already_are_taken_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tap.sock");
    let unix = std::os::unix::net::UnixListener::bind(&path).expect("it is free");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let address = tcp.local_addr().expect("it is bound");
    let adopted = Listeners::adopt(vec![unix.into(), tcp.into()]).expect("both listen");
    let addresses: Vec<String> = adopted.addresses().map(ToString::to_string).collect();
    assert_eq!(addresses, [format!("unix:{}", path.display()), address.to_string()]);
    drop(adopted);
    assert!(path.exists(), "the file belongs to who made it");

    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("there are free ports");
    let error = Listeners::adopt(vec![datagrams.into()]).expect_err("no connections come from it");
    assert_eq!(error.to_string(), "cannot use a socket of the service manager: not a listening stream socket");
}
