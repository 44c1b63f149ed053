//! Addresses to listen on, and the sockets that listen there.

use std::{
    collections::HashSet,
    error::Error,
    fmt, fs, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::{Peer, socket, socket::Socket, sys};
use crate::limits;

/// Who may connect to a Unix socket: its owner and its group.
const SOCKET_FILE_MODE: u32 = 0o660;

/// An address as the configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `HOST:PORT`; every address that the host has is listened on. Port 0 takes a free one.
    Tcp(String),
    /// The path of a socket file. A stale file is replaced, one that somebody answers on is not.
    Unix(PathBuf),
}

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// With the port that was taken.
    Tcp(SocketAddr),
    /// The socket file.
    Unix(Arc<Path>),
}

/// Sockets that listen. Dropping them closes them and removes the socket files that they made.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) all: Vec<Listener>,
}

/// One socket that listens.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: Address,
    accept: Accept,
    /// Held for its end: it removes the file. Sockets of the service manager have none.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Accept {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A socket file that this process made. It is removed at the end, unless another one stands in its place by then.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub enum ListenError {
    /// The host has no address, or the text is not `HOST:PORT`.
    Resolve {
        /// As configured.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// Another process listens there.
    InUse {
        /// Where.
        address: String,
    },
    /// The path of a Unix socket is taken by a file of another kind, which is left alone.
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    System {
        /// Where.
        address: String,
        /// What was tried.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A socket of the service manager is not one that connections can be accepted from.
    Inherited {
        /// What is wrong with it.
        source: io::Error,
    },
}

impl Listeners {
    /// Takes the sockets of the service manager, if there are any, and binds those of `wanted` that are not among
    /// them. An empty list without inherited sockets gives no listeners.
    ///
    /// Must be called inside a tokio runtime. Port 0 is never matched with an inherited socket.
    pub fn open(wanted: &[Listen]) -> Result<Self, ListenError> {
        let inherited = sys::take_inherited_sockets().map_err(|source| ListenError::Inherited { source })?;
        let mut listeners = Self::adopt(inherited)?;
        let have: HashSet<Address> = listeners.all.iter().map(|listener| listener.address.clone()).collect();
        let mut bound = Self::bind_except(wanted, &have)?;
        listeners.all.append(&mut bound.all);
        Ok(listeners)
    }

    /// Binds all addresses, or none.
    pub fn bind(wanted: &[Listen]) -> Result<Self, ListenError> {
        Self::bind_except(wanted, &HashSet::new())
    }

    /// Takes over sockets that listen already.
    pub fn adopt(sockets: Vec<OwnedFd>) -> Result<Self, ListenError> {
        let all = sockets.into_iter().map(|socket| adopt(RawSocket::from(socket))).collect::<Result<_, _>>();
        Ok(Self { all: all.map_err(|source| ListenError::Inherited { source })? })
    }

    /// What is listened on, with the ports that were taken.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.all.iter().map(|listener| &listener.address)
    }

    fn bind_except(wanted: &[Listen], have: &HashSet<Address>) -> Result<Self, ListenError> {
        let mut addresses = Vec::new();
        for listen in wanted {
            match listen {
                Listen::Tcp(text) => addresses.extend(resolve(text)?),
                Listen::Unix(path) => addresses.push(Address::Unix(path.as_path().into())),
            }
        }
        let mut done = have.clone();
        let mut all = Vec::new();
        for address in &addresses {
            // Port 0 may be wanted twice, any other address only once.
            let any_port = matches!(address, Address::Tcp(address) if address.port() == 0);
            if any_port || done.insert(address.clone()) {
                all.push(match address {
                    Address::Tcp(tcp) => bind_tcp(*tcp, shares_port_with_ipv4(*tcp, &addresses))?,
                    Address::Unix(path) => bind_unix(path)?,
                });
            }
        }
        Ok(Self { all })
    }
}

impl Listener {
    /// Waits for the next connection. Errors are those of `accept(2)`.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Peer, Address)> {
        match &self.accept {
            Accept::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let local = stream.local_addr()?;
                Ok((Socket::tcp(stream), Peer::Tcp(canonical(peer)), Address::Tcp(canonical(local))))
            }
            Accept::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let credentials = stream.peer_cred()?;
                let peer = Peer::Unix { uid: credentials.uid(), pid: credentials.pid() };
                Ok((Socket::unix(stream)?, peer, self.address.clone()))
            }
        }
    }
}

fn resolve(text: &str) -> Result<Vec<Address>, ListenError> {
    let error = |source| ListenError::Resolve { address: text.to_owned(), source };
    let found: Vec<Address> = text.to_socket_addrs().map_err(error)?.map(Address::Tcp).collect();
    if found.is_empty() {
        return Err(error(io::Error::new(io::ErrorKind::NotFound, "the host has no address")));
    }
    Ok(found)
}

/// Whether `[::]:port` must leave the IPv4 side of its port to another address of the list.
fn shares_port_with_ipv4(address: SocketAddr, all: &[Address]) -> bool {
    address.ip().is_ipv6()
        && all
            .iter()
            .any(|other| matches!(other, Address::Tcp(other) if other.is_ipv4() && other.port() == address.port()))
}

fn bind_tcp(address: SocketAddr, only_ipv6: bool) -> Result<Listener, ListenError> {
    let failed = |doing| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { address: address.to_string() },
            _ => ListenError::System { address: address.to_string(), doing, source },
        }
    };
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
        .map_err(failed("making a socket"))?;
    // Without it a restarted daemon waits a minute for the connections of the one before.
    socket.set_reuse_address(true).map_err(failed("setting SO_REUSEADDR"))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(only_ipv6).map_err(failed("setting IPV6_V6ONLY"))?;
    }
    socket.bind(&address.into()).map_err(failed("binding"))?;
    // Before `listen`, so that the first connection has them too.
    socket::set_tcp_options(&socket).map_err(failed("setting socket options"))?;
    socket.listen(limits::ACCEPT_BACKLOG as i32).map_err(failed("listening"))?;
    adopt(socket).map_err(failed("registering"))
}

fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let failed = |doing| {
        move |source: io::Error| ListenError::System { address: format!("unix:{}", path.display()), doing, source }
    };
    remove_stale(path)?;
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None).map_err(failed("making a socket"))?;
    let address = SockAddr::unix(path).map_err(failed("naming the socket"))?;
    socket.bind(&address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address: format!("unix:{}", path.display()) },
        _ => failed("binding")(source),
    })?;
    let file = SocketFile::of(path).map_err(failed("looking at the socket file"))?;
    // Nobody can connect before `listen`, so the mode that the umask gave it is never used.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_FILE_MODE)).map_err(failed("setting the mode"))?;
    socket.listen(limits::ACCEPT_BACKLOG as i32).map_err(failed("listening"))?;
    let mut listener = adopt(socket).map_err(failed("registering"))?;
    listener._file = Some(file);
    Ok(listener)
}

/// Removes a socket file that nobody answers on.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let address = || format!("unix:{}", path.display());
    let failed =
        |doing| move |source| ListenError::System { address: format!("unix:{}", path.display()), doing, source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("looking for an old socket file")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("removing the old socket file"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed("asking the old socket")(error)),
        // Whoever does not get round to accepting is there too.
        Ok(_) | Err(_) => Err(ListenError::InUse { address: address() }),
    }
}

/// Makes a listener of a socket that listens.
fn adopt(socket: RawSocket) -> io::Result<Listener> {
    let invalid = |reason: &'static str| io::Error::new(io::ErrorKind::InvalidInput, reason);
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(invalid("not a listening stream socket"));
    }
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?;
    let (address, accept) = if let Some(tcp) = local.as_socket() {
        socket::set_tcp_options(&socket)?;
        (Address::Tcp(tcp), Accept::Tcp(TcpListener::from_std(socket.into())?))
    } else if let Some(path) = local.as_pathname() {
        (Address::Unix(path.into()), Accept::Unix(UnixListener::from_std(socket.into())?))
    } else {
        return Err(invalid("neither a TCP nor a named Unix socket"));
    };
    Ok(Listener { address, accept, _file: None })
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode);
        if ours {
            // A file that stays behind is harmless: the next start finds that nobody answers on it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::InUse { address } => write!(f, "cannot listen on {address}: another process listens there"),
            Self::NotASocket { path } => {
                write!(f, "cannot listen on unix:{}: a file that is not a socket is there", path.display())
            }
            Self::System { address, doing, source } => write!(f, "cannot listen on {address}: {doing}: {source}"),
            Self::Inherited { source } => write!(f, "cannot use a socket of the service manager: {source}"),
        }
    }
}

impl Error for ListenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Resolve { source, .. } | Self::System { source, .. } | Self::Inherited { source } => Some(source),
            Self::InUse { .. } | Self::NotASocket { .. } => None,
        }
    }
}
