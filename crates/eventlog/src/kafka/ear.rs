//! What a client hears between its calls.
//!
//! librdkafka tells why it cannot connect in events, while the call that waits for the connection only times out.
//! A client's context keeps the last reason, so that an error can name it and the setting that is to be mended.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::trouble::{code, explain, lost};
use crate::Error;

/// For so long an outage may have consequences.
const RECENT: Duration = Duration::from_secs(60);
/// Longest reason that is kept, in bytes.
const LONGEST: usize = 300;

/// Keeps the last reason why there is no connection.
#[derive(Debug, Default)]
pub(super) struct Ear(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Only a person can mend it.
    refused: Option<String>,
    /// May pass by itself.
    away: Option<String>,
    /// No broker can be reached.
    down: bool,
    /// When a connection broke, or none could be made, for the last time.
    broke: Option<Instant>,
}

impl Ear {
    /// To be called from the client's context.
    pub(super) fn hear(&self, error: &KafkaError, reason: &str) {
        if code(error) == Some(Code::PartitionEOF) {
            return;
        }
        tracing::debug!("{error}: {reason}");
        let mut heard = self.heard();
        let broke = matches!(code(error), Some(Code::BrokerTransportFailure | Code::AllBrokersDown))
            || (is_of_the_login(error) && went_during_the_login(reason));
        if broke {
            heard.broke = Some(Instant::now());
        }
        match code(error) {
            _ if broke && is_of_the_login(error) => heard.away = Some(transport(reason)),
            _ if is_of_the_login(error) => {
                heard.refused = Some(format!(
                    "the login was refused: look at `kafka.authentication` ({})",
                    short(reason)
                ));
            }
            Some(Code::SSL) => heard.refused = Some(encryption(reason)),
            Some(Code::Resolve) => {
                heard.away = Some(format!(
                    "a host of `kafka.bootstrapServers`, --bootstrap-servers or KAFKA_BOOTSTRAP_SERVERS is not known ({})",
                    short(reason)
                ));
            }
            // What fails behind the handshake is told as a connection that broke.
            Some(Code::BrokerTransportFailure) if reason.contains("SSL routines") => {
                heard.refused = Some(encryption(reason));
            }
            Some(Code::BrokerTransportFailure) => heard.away = Some(transport(reason)),
            Some(Code::AllBrokersDown) => heard.down = true,
            _ => {}
        }
    }

    /// To be called from the client's context. What matters comes as an error, but for a broker that hangs up at once.
    pub(super) fn read(&self, facility: &str, message: &str) {
        tracing::debug!(facility, "librdkafka: {message}");
        if facility == "FAIL" && message.contains("in state APIVERSION_QUERY") {
            let reason = message.split_once("]: ").map_or(message, |(_, reason)| reason);
            self.heard().away = Some(transport(reason));
        }
    }

    /// There is a connection: what was heard before is past.
    pub(super) fn clear(&self) {
        let mut heard = self.heard();
        *heard = Heard { broke: heard.broke, ..Heard::default() };
    }

    /// The group took this client's word, given at `asked`, for that of a member: what broke before has no
    /// consequences any more.
    pub(super) fn proved(&self, asked: Instant) {
        let mut heard = self.heard();
        heard.broke = heard.broke.filter(|broke| *broke >= asked);
    }

    /// Whether a connection broke a short while ago.
    pub(super) fn was_cut_off(&self) -> bool {
        self.heard().broke.is_some_and(|broke| broke.elapsed() < RECENT)
    }

    /// Why only a person can mend it, if so.
    pub(super) fn refused(&self) -> Option<String> {
        self.heard().refused.clone()
    }

    /// Why no broker can be reached, if so.
    pub(super) fn unreachable(&self) -> Option<String> {
        let heard = self.heard();
        let why = heard.refused.as_ref().or(heard.away.as_ref());
        heard
            .down
            .then(|| why.cloned().unwrap_or_else(|| "no broker of the cluster can be reached".to_owned()))
    }

    /// An error of the client; one that only says that nobody answered, or that a login failed, by what was heard.
    pub(super) fn explain(&self, doing: &str, error: &KafkaError) -> Error {
        if !code(error).is_none_or(lost) && !is_of_the_login(error) {
            return explain(doing, error);
        }
        let heard = self.heard();
        match (&heard.refused, &heard.away) {
            (Some(why), _) => Error::Refused(format!("{doing}: {why}")),
            (None, Some(why)) => Error::Retry(format!("{doing}: {why}")),
            (None, None) => explain(doing, error),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Ear {
    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(&error, reason);
    }

    fn log(&self, _level: Level, facility: &str, message: &str) {
        self.read(facility, message);
    }
}

impl rdkafka::consumer::ConsumerContext for Ear {}

/// What is said of a login that the cluster refused.
pub(super) const LOGIN: &str = "the login was refused";
/// What is said of a certificate that cannot be verified; the library does not say why.
pub(super) const UNVERIFIED: &str = "the broker's certificate is of an unknown authority or for another host: look at \
                                     `kafka.tls.caCertificate` and `kafka.bootstrapServers`, --bootstrap-servers or \
                                     KAFKA_BOOTSTRAP_SERVERS";
/// The same when it is known to be the authority.
pub(super) const UNKNOWN_AUTHORITY: &str =
    "the broker's certificate is of an unknown authority: look at `kafka.tls.caCertificate`";
/// The same when it is known to be the host.
pub(super) const OTHER_HOST: &str = "the broker's certificate is for another host: look at `kafka.bootstrapServers`, \
                                     --bootstrap-servers or KAFKA_BOOTSTRAP_SERVERS";

fn is_of_the_login(error: &KafkaError) -> bool {
    matches!(
        code(error),
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism)
    )
}

/// A broker that goes while somebody logs in has refused nobody; librdkafka tells it like a login that failed, with a
/// reason of its own instead of the broker's.
fn went_during_the_login(reason: &str) -> bool {
    reason.contains("failed: Local: ")
}

/// Which setting is to blame for a connection that was not encrypted as it should be.
fn encryption(reason: &str) -> String {
    let lower = reason.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    // What a broker may have against a client's certificate: none (`required`), of a stranger (`unknown`, as Java says
    // it, or `unknown ca`), too old, revoked.
    let blame = if has(&[
        "alert certificate",
        "alert bad certificate",
        "alert unsupported certificate",
        "alert unknown ca",
        "alert handshake failure",
    ]) {
        "the broker wants another client certificate: look at `kafka.authentication` (`type: tls`)"
    } else if has(&["verify failed", "self-signed", "self signed", "local issuer"]) {
        UNVERIFIED
    } else {
        "the connection could not be encrypted: look at `kafka.tls`"
    };
    format!("{blame} ({})", short(reason))
}

fn transport(reason: &str) -> String {
    if reason.contains("in state APIVERSION_QUERY") {
        return format!(
            "the broker hangs up: look at `kafka.tls`, `kafka.authentication` and the ports in `kafka.bootstrapServers`, \
             --bootstrap-servers or KAFKA_BOOTSTRAP_SERVERS ({})",
            short(reason)
        );
    }
    format!("a broker cannot be reached ({})", short(reason))
}

/// A reason without what is only for librdkafka's developers.
fn short(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let mut text: String = line.chars().take(LONGEST).collect();
    if let Some(at) = text.find(" (after ") {
        text.truncate(at);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_that_was_heard_explains_a_time_out() {
        let ear = Ear::default();
        let late = KafkaError::MetadataFetch(Code::OperationTimedOut);
        assert!(matches!(ear.explain("asking", &late), Error::Retry(_)));
        ear.hear(
            &KafkaError::Global(Code::Resolve),
            "Failed to resolve 'k:9092' (after 3ms in state CONNECT)",
        );
        let error = ear.explain("asking", &late);
        for place in ["`kafka.bootstrapServers`", "--bootstrap-servers", "KAFKA_BOOTSTRAP_SERVERS"] {
            assert!(
                matches!(&error, Error::Retry(text) if text.contains(place) && !text.contains("3ms")),
                "{error}"
            );
        }
        ear.hear(&KafkaError::Global(Code::Authentication), "SASL authentication error");
        ear.hear(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        let error = ear.explain("asking", &late);
        assert!(matches!(&error, Error::Refused(text) if text.contains("`kafka.authentication`")), "{error}");
        assert!(ear.unreachable().is_some());
        ear.clear();
        assert_eq!((ear.unreachable(), ear.refused()), (None, None));
    }

    #[test]
    fn a_broker_that_goes_while_somebody_logs_in_has_refused_nobody() {
        let login = KafkaError::Global(Code::Authentication);
        let ear = Ear::default();
        let gone = "SASL SCRAM-SHA-512 mechanism handshake failed: Local: Timed out in queue: broker's supported \
                    mechanisms: (n/a)";
        ear.hear(&login, gone);
        assert_eq!((ear.refused(), ear.was_cut_off()), (None, true));
        let late = KafkaError::MetadataFetch(Code::OperationTimedOut);
        for error in [&late, &KafkaError::MessageConsumption(Code::Authentication)] {
            let told = ear.explain("asking", error);
            assert!(matches!(&told, Error::Retry(text) if text.contains("cannot be reached")), "{told}");
        }
        let refused = "SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's \
                       supported mechanisms: PLAIN";
        ear.hear(&login, refused);
        assert!(ear.refused().is_some());
    }

    #[test]
    fn whatever_a_broker_has_against_a_client_certificate_the_login_is_named() {
        for alert in [
            "certificate required",
            "certificate unknown",
            "certificate expired",
            "certificate revoked",
            "bad certificate",
            "unsupported certificate",
            "unknown ca",
            "handshake failure",
        ] {
            let ear = Ear::default();
            let reason = format!("error:0A000416:SSL routines::ssl/tls alert {alert}: SSL alert number 46");
            ear.hear(&KafkaError::Global(Code::BrokerTransportFailure), &reason);
            let told = ear.refused().unwrap();
            assert!(told.contains("another client certificate: look at `kafka.authentication`"), "{told}");
        }
    }

    #[test]
    fn an_outage_has_consequences_until_the_group_takes_a_word_that_was_given_after_it() {
        let ear = Ear::default();
        let before = Instant::now();
        ear.hear(&KafkaError::Global(Code::BrokerTransportFailure), "Disconnected");
        ear.proved(before);
        assert!(ear.was_cut_off(), "the answer came late, the outage is later");
        ear.proved(Instant::now());
        assert!(!ear.was_cut_off());
    }

    #[test]
    fn an_error_that_says_enough_is_not_explained_by_what_was_heard() {
        let ear = Ear::default();
        ear.hear(&KafkaError::Global(Code::Resolve), "Failed to resolve");
        let error = ear.explain("asking", &KafkaError::Global(Code::TopicAuthorizationFailed));
        assert!(matches!(&error, Error::Refused(text) if text.contains("access control")), "{error}");
    }
}
