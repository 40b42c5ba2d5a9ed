//! What Kafka's errors mean for a worker.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::Error;

/// An error of a client, in the log's words. `doing` says what was tried.
pub(super) fn explain(doing: &str, error: &KafkaError) -> Error {
    let text = format!("{doing}: {}", said(error));
    match code(error) {
        Some(code) if fences(code) => Error::Fenced(format!(
            "{text}: another process has taken this member's place (is the same --instance used twice?)"
        )),
        Some(Code::MessageSizeTooLarge) => Error::TooLarge(text),
        Some(
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::SSL,
        ) => Error::Storage(format!("{text}: look at the credentials and at the rights of this user")),
        _ => Error::Retry(text),
    }
}

/// What the library says, without its wrapping.
fn said(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(error) => error.string(),
        _ => match code(error) {
            Some(code) => code.to_string(),
            None => error.to_string(),
        },
    }
}

/// Whether the code says that somebody else has this member's place.
fn fences(code: Code) -> bool {
    matches!(code, Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId | Code::Fenced)
}

/// The code behind an error.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        _ => error.rdkafka_error_code(),
    }
}
