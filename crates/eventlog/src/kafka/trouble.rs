//! What Kafka's errors mean for a worker.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::Error;

/// An error of a client, in the log's words. `doing` says what was tried.
pub(super) fn explain(doing: &str, error: &KafkaError) -> Error {
    let text = format!("{doing}: {}", said(error));
    match error {
        // Values may be secrets, and the library repeats them.
        KafkaError::ClientConfig(_, _, property, _) => {
            return Error::Refused(format!("{doing}: the client does not take its {}", blame(property)));
        }
        KafkaError::ClientCreation(why) => {
            return Error::Refused(format!("{doing}: the client does not take its {} ({why})", blame(why)));
        }
        _ => {}
    }
    match code(error) {
        Some(code) if fences(code) => Error::Fenced(format!(
            "{text}: another process has taken this member's place (is the same --instance used twice?)"
        )),
        Some(Code::MessageSizeTooLarge) => Error::TooLarge(text),
        Some(
            code @ (Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed),
        ) => Error::Refused(format!("{text}: the user of `kafka.authentication` lacks {}", right(code))),
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism) => {
            Error::Refused(format!("{text}: look at `kafka.authentication`"))
        }
        Some(Code::SSL) => Error::Refused(format!("{text}: look at `kafka.tls`")),
        _ => Error::Retry(text),
    }
}

/// What access control lists must grant. One list for the prefix that is the monitor's id is enough, while topics
/// and groups have their default names.
fn right(code: Code) -> &'static str {
    match code {
        Code::TopicAuthorizationFailed => {
            "a right: grant it read, write and describe on the monitor's topics by access control lists (a prefixed one \
             for the monitor's id is enough), and create to whoever runs setup"
        }
        Code::GroupAuthorizationFailed => {
            "a right: grant it read on the monitor's groups by access control lists (a prefixed one for the monitor's \
             id is enough)"
        }
        Code::TransactionalIdAuthorizationFailed => {
            "a right: grant it write and describe on the monitor's transactional ids by access control lists (a prefixed \
             one for the monitor's id is enough)"
        }
        _ => "a right on the cluster: look at its access control lists",
    }
}

/// The part of the manifest that a property of the client comes from.
fn blame(text: &str) -> &'static str {
    if text.contains("ssl.ca") {
        "authority's certificate: look at `kafka.tls.caCertificate`"
    } else if text.contains("ssl.key") || text.contains("ssl.certificate") || text.contains("sasl") {
        "login: look at `kafka.authentication`"
    } else if text.contains("ssl") {
        "encryption: look at `kafka.tls`"
    } else if text.contains("bootstrap") {
        "addresses: look at `kafka.bootstrapServers`, --bootstrap-servers or KAFKA_BOOTSTRAP_SERVERS"
    } else {
        "settings"
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

/// Whether the code says no more than that nobody answered.
pub(super) fn lost(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::Fail
            | Code::WaitingForCoordinator
            | Code::CoordinatorNotAvailable
            | Code::MessageTimedOut
    )
}

/// The code behind an error.
pub(super) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::Transaction(error) => Some(error.code()),
        _ => error.rdkafka_error_code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_the_client_does_not_take_is_never_repeated() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("ssl.key.pem", "no key but hunter2").set("security.protocol", "ssl");
        let refused = config.create::<rdkafka::consumer::BaseConsumer>();
        let error = refused.map(drop).map_err(|error| explain("cannot make a client", &error)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Refused(_)), "{text}");
        assert!(text.contains("`kafka.authentication`") && !text.contains("hunter2"), "{text}");
        config.set("sasl.mechanism", "hunter2");
        let refused =
            config.set("sasl.oauthbearer.method", "hunter2").create::<rdkafka::consumer::BaseConsumer>();
        let text = refused
            .map(drop)
            .map_err(|error| explain("cannot make a client", &error))
            .unwrap_err()
            .to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}
