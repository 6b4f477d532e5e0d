//! A server to be asked, and requests put together by hand: signed rightly unless told otherwise.

use brigade::base::clock;
use brigade::http::server::Limits;
use brigade::server::Options;
use brigade::server::Server;
use brigade::server::Usage;
use brigade::server::keys::Keys;
use brigade::wire::date::AmzDate;
use brigade::wire::sigv4;
use brigade::wire::sigv4::AWS4;
use brigade::wire::sigv4::Authorization;
use brigade::wire::sigv4::Scope;
use brigade::wire::sigv4::SigningKey;
use brigade::wire::uri::parse_query;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const KEY: &str = "AKIDEXAMPLE";
pub const SECRET: &str = "secret";
const REGION: &str = "us-east-1";

/// A running server with the bucket `bkt`.
pub struct Running {
    pub addr: SocketAddr,
    runtime: Runtime,
    server: Option<Server>,
    options: Options,
    // Goes away with the server.
    _data: TempDir,
}

impl Running {
    pub fn start() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        Self::open(limits, |options| options)
    }

    /// One that is started with other options.
    pub fn open(limits: Limits, change: impl FnOnce(Options) -> Options) -> Self {
        let runtime = Runtime::new().unwrap();
        let data = tempfile::tempdir().unwrap();
        let options = change(options(&data));
        let server = runtime.block_on(Server::start_with(options.clone(), limits)).unwrap();
        Self { addr: server.addr(), runtime, server: Some(server), options, _data: data }
    }

    /// Ends it properly and starts it again on the same data.
    pub fn restart(&mut self) {
        self.restart_after(|_| ());
    }

    /// The same, with something done to the data directory in between.
    pub fn restart_after(&mut self, change: impl FnOnce(&Path)) {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.shutdown());
        change(self.options.data.as_path());
        let server = self.runtime.block_on(Server::start(self.options.clone())).unwrap();
        self.addr = server.addr();
        self.server = Some(server);
    }

    /// Where everything is kept.
    pub fn data(&self) -> &Path {
        &self.options.data
    }

    /// How much the bucket `bkt` holds.
    pub fn usage(&self) -> Usage {
        self.runtime.block_on(self.server.as_ref().unwrap().usage("bkt")).unwrap()
    }

    pub fn requests(&self, operation: &str) -> u64 {
        self.server.as_ref().unwrap().requests().get(operation).copied().unwrap_or(0)
    }

    /// How many bytes of objects there are on disk.
    pub fn blob_files(&self) -> usize {
        let dirs = std::fs::read_dir(self.options.data.join("blobs")).unwrap();
        dirs.map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap().count()).sum()
    }

    /// Sends `METHOD /path?query`, signed.
    pub fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        Ask::new(request).headers(headers).body(body).send(self)
    }

    /// Asks for the code of the refusal.
    pub fn refusal(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let answer = self.ask(request, headers, body);
        (answer.status, answer.code())
    }

    /// A connection of its own.
    pub fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Connection { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// Fails unless the server answers a plain request.
    pub fn goes_on(&self) {
        let answer = self.ask("GET /bkt?list-type=2&max-keys=1", &[], b"");
        assert_eq!(answer.status, 200, "the server must go on");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

fn options(data: &TempDir) -> Options {
    Options {
        buckets: vec!["bkt".into()],
        base_domains: vec!["s3.example.com".into()],
        ..Options::new(data.path(), Keys { access_key_id: KEY.into(), secret: SECRET.into() })
    }
}

/// A request in the making.
pub struct Ask {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    time: SystemTime,
    payload_hash: Option<String>,
    keys: (&'static str, &'static str),
}

/// What signs the chunks of its body, with the request.
pub struct Signed {
    pub head: Vec<u8>,
    pub chunks: sigv4::ChunkSigner,
}

impl Ask {
    pub fn new(request: &str) -> Self {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: vec![],
            body: vec![],
            time: clock::now(),
            payload_hash: None,
            keys: (KEY, SECRET),
        }
    }

    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        self.headers.extend(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    /// Instead of the SHA-256 of the body.
    pub fn payload(mut self, hash: &str) -> Self {
        self.payload_hash = Some(hash.into());
        self
    }

    /// Signed by somebody else.
    pub fn by(mut self, keys: (&'static str, &'static str)) -> Self {
        self.keys = keys;
        self
    }

    /// Signed as if it were another time.
    pub fn at(mut self, time: SystemTime) -> Self {
        self.time = time;
        self
    }

    /// The head, with what signs the chunks of the body.
    pub fn sign(&self) -> Signed {
        let time = AmzDate::new(self.time);
        let hash = self.payload_hash.clone().unwrap_or_else(|| sigv4::sha256_hex(&self.body));
        let mut headers = self.headers.clone();
        if !headers.iter().any(|(name, _)| name == "host") {
            headers.push(("host".into(), "127.0.0.1".into()));
        }
        headers.push(("x-amz-date".into(), time.to_string()));
        headers.push(("x-amz-content-sha256".into(), hash.clone()));
        let query = parse_query(&self.query).unwrap();
        let view: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let request = sigv4::Request {
            method: &self.method,
            path: &self.path,
            query: &query,
            headers: &view,
            payload_hash: &hash,
        };
        let scope = Scope::new(&time, REGION);
        let key = SigningKey::derive(&AWS4, self.keys.1, &scope);
        let signed_headers = request.header_names();
        let signature = request.signature(&AWS4, &key, &time, &scope, &signed_headers);
        let chunks = sigv4::ChunkSigner::new(&AWS4, key, time, &scope, &signature);
        let authorization = Authorization { access_key_id: self.keys.0.into(), scope, signed_headers, signature };
        headers.push(("authorization".into(), authorization.header(&AWS4)));
        if !headers.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding") {
            headers.push(("content-length".into(), self.body.len().to_string()));
        }
        let question = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let mut head = format!("{} {}{question} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Signed { head: head.into_bytes(), chunks }
    }

    pub fn send(&self, running: &Running) -> Answer {
        let mut connection = running.connect();
        connection.write(&self.sign().head);
        connection.write(&self.body);
        connection.answer(self.method == "HEAD")
    }
}

/// A connection, for what a whole request cannot say.
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Writes; a server that has hung up already is no fault.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Says that nothing more will come.
    pub fn end(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Whether the other side has closed, or does so within the read timeout.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Reads an answer, which must come.
    pub fn answer(&mut self, is_head: bool) -> Answer {
        self.try_answer(is_head).expect("an answer")
    }

    /// Reads an answer; `None` if the connection ends before.
    pub fn try_answer(&mut self, is_head: bool) -> Option<Answer> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !is_head && status != 100 {
            let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            answer.body = vec![0; length];
            self.reader.read_exact(&mut answer.body).ok()?;
        }
        Some(answer)
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of an error document, empty without one.
    pub fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    /// The text of the first element of a name.
    pub fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    /// The texts of all elements of a name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let pieces = self.text().split(&open).skip(1);
        pieces.filter_map(|piece| piece.split_once(&close).map(|(text, _)| text.to_owned())).collect()
    }
}
