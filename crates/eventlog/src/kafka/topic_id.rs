//! The id that a cluster gives a topic when it is made, for which the rdkafka crate has no call.
//!
//! Since Kafka 2.8 ([KIP-516]) it tells a topic from an earlier one of the same name. librdkafka knows it, and tells it by
//! its `DescribeTopics`: that is the metadata request of every client, for which the right to describe the topic is enough,
//! as long as nobody asks for the rights there are. So this module has unsafe code, beside [`native`](super::native). It
//! holds pointers of librdkafka for the length of a call, and nothing else happens here.
//!
//! # Guarantees
//! - No pointer leaves this module; what librdkafka hands over is given back before a call returns.
//! - The wait has an end.
//!
//! [KIP-516]: https://cwiki.apache.org/confluence/display/KAFKA/KIP-516%3A+Topic+Identifiers
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;

/// librdkafka ends its wait by itself and says so; so many milliseconds later it is not waited for any more.
const LATE: i32 = 1_000;

/// The id of the topic `name`, spelled as Kafka's own tools do; `None` when the cluster gives none. Asks the broker of that
/// number, or the controller. Waits about as long as `wait`, at most a minute.
///
/// # Errors
/// The code of the cluster or of the client, as [`KafkaError::MetadataFetch`], which is what it is.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    name: &str,
    broker: Option<i32>,
    wait: Duration,
) -> KafkaResult<Option<String>> {
    let answer = describe(client, &CString::new(name)?, broker, wait)?;
    let event = answer.pointer.as_ptr();
    // SAFETY: the event lives as long as `answer`, and everything that is read here is a part of it; no pointer is used
    // that is null. One topic was asked for, so there is one in the list if there are any.
    let (most, least) = unsafe {
        well(rd::rd_kafka_event_error(event))?;
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(KafkaError::MetadataFetch(Code::Fail));
        }
        let mut count: usize = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count == 0 || topics.is_null() || (*topics).is_null() {
            return Err(KafkaError::MetadataFetch(Code::UnknownTopicOrPartition));
        }
        let topic = *topics;
        well(rd::rd_kafka_error_code(rd::rd_kafka_TopicDescription_error(topic)))?;
        let id = rd::rd_kafka_TopicDescription_topic_id(topic);
        (rd::rd_kafka_Uuid_most_significant_bits(id), rd::rd_kafka_Uuid_least_significant_bits(id))
    };
    let id = (u128::from(most as u64) << 64) | u128::from(least as u64);
    Ok((id != 0).then(|| spelled(id)))
}

/// What the cluster or the client answers.
fn describe<C: ClientContext>(
    client: &Client<C>,
    name: &CStr,
    broker: Option<i32>,
    wait: Duration,
) -> KafkaResult<Held<rd::rd_kafka_event_t>> {
    let millis = wait.as_millis().min(60_000) as i32;
    let mut names = [name.as_ptr()];
    let no_room = || KafkaError::MetadataFetch(Code::CriticalSystemResource);
    // SAFETY: the client lives for the length of the call. The name is a C string for as long, and librdkafka copies it, as
    // it copies the options. Whatever it makes is held together with the call that gives it back. When the queue goes before
    // there is an answer, librdkafka drops the answer.
    unsafe {
        let topics = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Held::new(topics, rd::rd_kafka_TopicCollection_destroy).ok_or_else(no_room)?;
        let what = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = rd::rd_kafka_AdminOptions_new(client.native_ptr(), what);
        let options = Held::new(options, rd::rd_kafka_AdminOptions_destroy).ok_or_else(no_room)?;
        well(rd::rd_kafka_AdminOptions_set_request_timeout(
            options.pointer.as_ptr(),
            millis,
            ptr::null_mut(),
            0,
        ))?;
        if let Some(broker) = broker {
            well(rd::rd_kafka_AdminOptions_set_broker(options.pointer.as_ptr(), broker, ptr::null_mut(), 0))?;
        }
        let queue = rd::rd_kafka_queue_new(client.native_ptr());
        let queue = Held::new(queue, rd::rd_kafka_queue_destroy).ok_or_else(no_room)?;
        rd::rd_kafka_DescribeTopics(
            client.native_ptr(),
            topics.pointer.as_ptr(),
            options.pointer.as_ptr(),
            queue.pointer.as_ptr(),
        );
        let event = rd::rd_kafka_queue_poll(queue.pointer.as_ptr(), millis + LATE);
        Held::new(event, rd::rd_kafka_event_destroy).ok_or(KafkaError::MetadataFetch(Code::OperationTimedOut))
    }
}

/// Something of librdkafka's that is given back when it is dropped.
struct Held<T> {
    pointer: NonNull<T>,
    give_back: unsafe extern "C" fn(*mut T),
}

impl<T> Held<T> {
    /// `None` for a null pointer.
    ///
    /// # Safety
    /// Else the pointer is the caller's own, nobody else gives it back, and `give_back` is the call for that.
    unsafe fn new(pointer: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Option<Held<T>> {
        Some(Held { pointer: NonNull::new(pointer)?, give_back })
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: as promised to `new`; it happens once.
        unsafe { (self.give_back)(self.pointer.as_ptr()) }
    }
}

fn well(code: RDKafkaRespErr) -> KafkaResult<()> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::MetadataFetch(code.into())),
    }
}

/// An id as Kafka's own tools show it.
fn spelled(id: u128) -> String {
    URL_SAFE_NO_PAD.encode(id.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};

    use super::*;

    #[test]
    fn an_id_is_spelled_as_kafka_spells_it() {
        // The topic of KRaft's metadata has the id 1.
        assert_eq!(spelled(1), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(spelled(u128::MAX), "_____________________w");
        // `java.util.Base64` of the bytes 0x00 0x11 .. 0xff.
        assert_eq!(spelled(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff), "ABEiM0RVZneImaq7zN3u_w");
    }

    #[test]
    fn nobody_is_waited_for_who_does_not_answer() {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", "127.0.0.1:1").create().unwrap();
        let begun = Instant::now();
        let told = topic_id(client.client(), "t", None, Duration::from_millis(200));
        assert_eq!(told, Err(KafkaError::MetadataFetch(Code::OperationTimedOut)));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
