//! A server that keeps what arrives byte for byte and answers by a script, and the line that leads every host to it.

use async_trait::async_trait;
use brigade::http;
use brigade::http::HeaderName;
use brigade::http::HeaderValue;
use brigade::http::Origin;
use brigade::http::Request;
use brigade::http::Response;
use brigade::http::Transport;
use data_encoding::HEXLOWER;
use md5::Digest;
use md5::Md5;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Tells the recorder which host the request would have gone to.
const BELIEVED: &str = "x-test-believed-host";

/// A request as it was on the wire.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Lower-case names, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body that came, also where they were not kept.
    pub body_bytes: usize,
    /// The host that the client meant to speak to.
    pub believed_host: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn header_lines(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The value of a parameter as it is in the URL; empty for a bare one.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| match pair.split_once('=') {
            Some((own, value)) => (own == name).then_some(value),
            None => (pair == name).then_some(""),
        })
    }

    /// The tag that a store gives to what was sent.
    pub fn body_etag(&self) -> String {
        format!("\"{}\"", HEXLOWER.encode(&Md5::digest(&self.body)))
    }
}

/// What is answered.
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    when: When,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// After the body.
    AtEnd,
    /// After the head, with the body left unread until the client has its answer.
    Early,
    /// Never: the connection is cut within the body.
    Never,
}

impl Reply {
    pub fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, headers: vec![], body: body.into(), when: When::AtEnd }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// A refusal on the head alone.
    pub fn early(status: u16, body: String) -> Self {
        Self { status, when: When::Early, ..Self::ok(body) }
    }

    /// The connection breaks in the middle of the body.
    pub fn cut() -> Self {
        Self { when: When::Never, ..Self::ok("") }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            text.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// The server.
pub struct Recorder {
    origin: Origin,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Set when nothing more will be asked.
    over: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Recorder {
    pub async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let (seen, script): (Arc<Mutex<Vec<Seen>>>, Script) = (Arc::default(), Arc::new(script));
        let (over, is_over) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, script, Arc::clone(&seen), is_over));
        Self { origin, seen, over, serving }
    }

    /// What leads every request here, whatever host it is for.
    pub fn line(&self) -> Arc<dyn Transport> {
        let inner = http::client::Client::new(&self.origin).unwrap();
        Arc::new(Line { inner, to: self.origin.clone() })
    }

    /// What has been seen so far, in the order in which it came to an end.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Ends once every connection has, and gives all that was seen. Clients must be gone.
    pub async fn finish(self) -> Vec<Seen> {
        self.over.send(true).unwrap();
        self.serving.await.unwrap();
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

struct Line {
    inner: http::client::Client,
    to: Origin,
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, mut request: Request) -> http::Result<Response> {
        let believed = HeaderValue::from_str(&request.origin.authority()).unwrap();
        request.headers.insert(HeaderName::from_static(BELIEVED), believed);
        request.origin = self.to.clone();
        self.inner.send(request).await
    }
}

async fn serve(listener: TcpListener, script: Script, seen: Arc<Mutex<Vec<Seen>>>, mut over: watch::Receiver<bool>) {
    let mut connections = tokio::task::JoinSet::new();
    let for_connections = over.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let socket = accepted.unwrap().0;
                connections.spawn(converse(socket, Arc::clone(&script), Arc::clone(&seen), for_connections.clone()));
            }
            _ = over.wait_for(|over| *over) => break,
        }
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap();
    }
}

/// Answers requests until the connection ends.
async fn converse(mut socket: TcpStream, script: Script, seen: Arc<Mutex<Vec<Seen>>>, mut over: watch::Receiver<bool>) {
    let mut rest = Vec::new();
    while let Some(mut request) = read_head(&mut socket, &mut rest).await {
        let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
        // The script may decide by the head; it is asked again when the body is there.
        match script(&request).when {
            When::AtEnd => {
                read_body(&mut socket, &mut rest, &mut request, length).await;
                let answer = script(&request).bytes();
                seen.lock().unwrap().push(request);
                if socket.write_all(&answer).await.is_err() {
                    return;
                }
            }
            When::Early => {
                socket.write_all(&script(&request).bytes()).await.unwrap();
                over.wait_for(|over| *over).await.unwrap();
                request.body_bytes = rest.len() + read_to_end(&mut socket).await;
                seen.lock().unwrap().push(request);
                return;
            }
            When::Never => {
                read_body(&mut socket, &mut rest, &mut request, length / 2).await;
                seen.lock().unwrap().push(request);
                return;
            }
        }
    }
}

async fn read_head(socket: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(count) if count > 0 => rest.extend_from_slice(&piece[..count]),
            Ok(_) | Err(_) => return None,
        }
    };
    let head = String::from_utf8(rest.drain(..end + 4).collect()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut seen = Seen { method: method.into(), path: path.into(), query: query.into(), ..Seen::default() };
    for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        match name.to_ascii_lowercase() {
            name if name == BELIEVED => seen.believed_host = value.to_owned(),
            name => seen.headers.push((name, value.to_owned())),
        }
    }
    Some(seen)
}

async fn read_body(socket: &mut TcpStream, rest: &mut Vec<u8>, request: &mut Seen, length: usize) {
    while rest.len() < length {
        let mut piece = vec![0; 64 << 10];
        match socket.read(&mut piece).await {
            Ok(count) if count > 0 => rest.extend_from_slice(&piece[..count]),
            Ok(_) | Err(_) => break,
        }
    }
    request.body = rest.drain(..length.min(rest.len())).collect();
    request.body_bytes = request.body.len();
}

async fn read_to_end(socket: &mut TcpStream) -> usize {
    let (mut piece, mut bytes) = (vec![0; 64 << 10], 0);
    while let Ok(count) = socket.read(&mut piece).await
        && count > 0
    {
        bytes += count;
    }
    bytes
}
