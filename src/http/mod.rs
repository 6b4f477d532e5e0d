//! HTTP as the other layers see it: plain requests and responses. The only layer that names an HTTP crate.

pub mod server;

pub use http::HeaderMap;
pub use http::HeaderName;
pub use http::HeaderValue;
pub use http::Method;
pub use http::StatusCode;
