//! What requests cost, estimated: a price for each kind of request, so that people see which of their habits are dear.
//! What stored bytes and traffic cost is not here.

use crate::store::Op;

/// Whose prices these are, for people.
pub const NAME: &str = "list prices of AWS S3 Standard in us-east-1";

/// A dollar for each 200,000 requests, in billionths of a dollar for each: `PUT`, `COPY`, `POST` and `LIST`
/// (aws.amazon.com/s3/pricing, 2026).
const WRITE_NANO_USD: u64 = 5_000;

/// 40 cents for each million, likewise: `GET` and all others.
const READ_NANO_USD: u64 = 400;

/// What one request costs, in billionths of a US dollar. Who removes pays nothing.
#[must_use]
pub fn nano_usd(op: Op) -> u64 {
    match op {
        Op::PutObject
        | Op::CopyObject
        | Op::MoveObject
        | Op::ListObjects
        | Op::CreateUpload
        | Op::PutPart
        | Op::CopyPart
        | Op::CompleteUpload
        | Op::ListParts
        | Op::ListUploads => WRITE_NANO_USD,
        Op::HeadBucket | Op::HeadObject | Op::GetObject => READ_NANO_USD,
        Op::DeleteObject | Op::DeleteObjects | Op::AbortUpload => 0,
    }
}
