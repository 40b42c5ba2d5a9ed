//! As much of Kafka's protocol as tells whether a broker serves, without a client library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// For each step; a broker that starts may take a connection long before it answers on it.
const PATIENCE: Duration = Duration::from_secs(2);
const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;
/// The last version of a metadata request with fields of fixed width that brokers of 4.x know.
const METADATA_VERSION: i16 = 4;

/// Asks the broker on a loopback port for its protocol versions and for the cluster's brokers.
///
/// # Errors
/// When it does not answer, answers with an error, or no broker is in the cluster yet.
pub(super) fn has_broker(port: u16) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;

    let versions = ask(&mut stream, API_VERSIONS, 0, &[])?;
    let error = i16::from_be_bytes(field(&versions, 0)?);
    ensure!(error == 0, "the broker refuses to tell its versions: error {error}");

    // No topics, and none to be made.
    let metadata = ask(&mut stream, METADATA, METADATA_VERSION, &[0, 0, 0, 0, 0])?;
    // After the time that the request was held back.
    let brokers = i32::from_be_bytes(field(&metadata, 4)?);
    ensure!(brokers > 0, "no broker has joined the cluster");
    Ok(())
}

/// Sends a request and reads its answer, without the headers.
fn ask(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) -> Result<Vec<u8>> {
    let correlation = i32::from(api);
    let mut request = Vec::new();
    request.extend(api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(correlation.to_be_bytes());
    // No name of the client.
    request.extend((-1i16).to_be_bytes());
    request.extend(body);
    stream.write_all(&i32::try_from(request.len())?.to_be_bytes())?;
    stream.write_all(&request)?;

    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = i32::from_be_bytes(size);
    ensure!((4..1 << 20).contains(&size), "an answer of {size} bytes is not Kafka's");
    let mut answer = vec![0; usize::try_from(size)?];
    stream.read_exact(&mut answer)?;
    let echoed = i32::from_be_bytes(field(&answer, 0)?);
    ensure!(echoed == correlation, "the answer is for request {echoed}, not {correlation}");
    Ok(answer.split_off(4))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let field = bytes.get(at..at + N).context("the answer is too short")?;
    Ok(field.try_into()?)
}
