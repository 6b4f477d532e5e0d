//! A client that costs as little as it can: heads made and signed in advance, one thread for each connection.

use crate::process::KEYS;
use brigade::base::clock;
use brigade::wire::date::AmzDate;
use brigade::wire::sigv4;
use brigade::wire::uri;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

const REGION: &str = "us-east-1";
/// Bytes sent or taken at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Makes signed requests for one server.
pub struct Signer {
    /// The server.
    pub addr: SocketAddr,
    host: String,
}

/// A request that is ready to be sent.
pub struct Prepared {
    head: Vec<u8>,
    body_bytes: u64,
}

impl Signer {
    /// For the server that listens there.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, host: addr.to_string() }
    }

    /// Signs a request whose body, which is not hashed, has so many bytes.
    pub fn prepare(&self, method: &str, path: &str, query: &[(&str, &str)], body_bytes: u64) -> Prepared {
        let time = AmzDate::new(clock::now());
        let stamp = time.to_string();
        let headers =
            [("host", self.host.as_str()), ("x-amz-content-sha256", sigv4::UNSIGNED_PAYLOAD), ("x-amz-date", &stamp)];
        let pairs: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request =
            sigv4::Request { method, path, query: &pairs, headers: &headers, payload_hash: sigv4::UNSIGNED_PAYLOAD };
        let scope = sigv4::Scope::new(&time, REGION);
        let key = sigv4::SigningKey::derive(&sigv4::AWS4, KEYS.1, &scope);
        let signed_headers = request.header_names();
        let signature = request.signature(&sigv4::AWS4, &key, &time, &scope, &signed_headers);
        let access_key_id = KEYS.0.to_owned();
        let authorization = sigv4::Authorization { access_key_id, scope, signed_headers, signature };
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", uri::encode(value))).collect();
        let question = if query.is_empty() { "" } else { "?" };
        let mut head = format!("{method} {path}{question}{} HTTP/1.1\r\n", query.join("&"));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("authorization: {}\r\n", authorization.header(&sigv4::AWS4)));
        head.push_str(&format!("content-length: {body_bytes}\r\n\r\n"));
        Prepared { head: head.into_bytes(), body_bytes }
    }
}

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    block: Vec<u8>,
    small: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the server listens");
        stream.set_nodelay(true).expect("a socket of ours");
        // Not zeros: nobody shall find a way around copying them.
        let block = (0..BLOCK_BYTES).map(|at| (at % 251).to_le_bytes()[0]).collect();
        Self { stream, block, small: Vec::new() }
    }

    /// Sends a request and reads its answer to the end; its body if it is small, else nothing of it.
    pub fn exchange(&mut self, request: &Prepared) -> Vec<u8> {
        self.send(request);
        self.receive()
    }

    fn send(&mut self, request: &Prepared) {
        let mut left = usize::try_from(request.body_bytes).expect("64 bits");
        if left <= 64 << 10 {
            // Together, as clients do.
            self.small.clear();
            self.small.extend_from_slice(&request.head);
            self.small.extend_from_slice(&self.block[..left]);
            return self.stream.write_all(&self.small).expect("the server takes it");
        }
        self.stream.write_all(&request.head).expect("the server takes it");
        while left > 0 {
            let now = left.min(self.block.len());
            self.stream.write_all(&self.block[..now]).expect("the server takes it");
            left -= now;
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.block);
        let mut filled = 0;
        let head_bytes = loop {
            let got = self.stream.read(&mut buffer[filled..]).expect("the server answers");
            assert!(got > 0, "the server ended the connection");
            filled += got;
            if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = std::str::from_utf8(&buffer[..head_bytes]).expect("heads are text");
        assert!(head.starts_with("HTTP/1.1 2"), "refused: {}", String::from_utf8_lossy(&buffer[..filled]));
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |text| text.trim().parse().expect("a number"));
        let mut left = length - (filled - head_bytes);
        let mut body = Vec::new();
        if length <= BLOCK_BYTES {
            body = buffer[head_bytes..filled].to_vec();
            body.resize(length, 0);
            self.stream.read_exact(&mut body[filled - head_bytes..]).expect("the server answers all");
            left = 0;
        }
        while left > 0 {
            let now = left.min(buffer.len());
            let got = self.stream.read(&mut buffer[..now]).expect("the server answers");
            assert!(got > 0, "the server ended the connection");
            left -= got;
        }
        self.block = buffer;
        body
    }
}
