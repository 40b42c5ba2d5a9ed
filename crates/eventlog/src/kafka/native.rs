//! librdkafka's calls for many messages at once, which the rdkafka crate does not have.
//!
//! A call for each message costs a lock, two looks at the clock and two allocations on the way in, and a look-up of
//! the topic by name on the way out: a third of what the engine costs. This and [`topic_id`](super::topic_id) are the only
//! modules of the project with unsafe code. They hold pointers of librdkafka, and nothing else happens here.
//!
//! # Guarantees
//! - No pointer leaves this module. Messages cannot outlive the reader that they are of.
//! - The reader's queue goes before its client, as librdkafka asks for.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaRespErr;

/// A consumer whose partitions are read many messages at a time.
///
/// Events of the group and of the connection still come by polling the consumer. Messages of a partition that was
/// [redirected](Reader::redirect) come by [`Reader::read`] alone.
pub(super) struct Reader<C: ConsumerContext> {
    // First: goes before the client that it is of.
    inbox: Queue,
    consumer: BaseConsumer<C>,
}

/// A queue of librdkafka that is given back when it is dropped.
struct Queue(NonNull<rd::rd_kafka_queue_t>);

// SAFETY: librdkafka's queues are locked inside; any thread may use them, one after the other or at once.
unsafe impl Send for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the pointer came from a call that hands over one reference, which is given back here, once.
        unsafe { rd::rd_kafka_queue_destroy(self.0.as_ptr()) }
    }
}

impl<C: ConsumerContext> Reader<C> {
    /// Reads by `consumer`; `None` when librdkafka has no memory for a queue.
    pub(super) fn new(consumer: BaseConsumer<C>) -> Option<Reader<C>> {
        // SAFETY: the client lives as long as `consumer`, and longer than the queue by the order of the fields.
        let queue = unsafe { rd::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Some(Reader { inbox: Queue(NonNull::new(queue)?), consumer })
    }

    /// The consumer, for everything but reading.
    pub(super) fn consumer(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    /// Has the messages of a partition come by [`Reader::read`]. To be called before the partition is assigned: what
    /// an application has chosen, librdkafka leaves as it is. Again at any time: what waits elsewhere comes too.
    pub(super) fn redirect(&self, topic: &str, partition: u32) {
        let Ok(topic) = CString::new(topic) else { return };
        // SAFETY: the client lives; the name is a C string for the length of the call. The queue that comes back is a
        // reference of its own, given back at the end of the scope; the redirection holds references by itself.
        unsafe {
            let own = rd::rd_kafka_queue_get_partition(
                self.consumer.client().native_ptr(),
                topic.as_ptr(),
                partition as i32,
            );
            if let Some(own) = NonNull::new(own).map(Queue) {
                rd::rd_kafka_queue_forward(own.0.as_ptr(), self.inbox.0.as_ptr());
            }
        }
    }

    /// Adds up to `most` messages to those there are, as many as come within `wait`; returns early with `most`.
    pub(super) fn read<'r>(&'r self, messages: &mut Messages<'r>, most: usize, wait: Duration) {
        let have = messages.raw.len();
        messages.raw.reserve(most);
        let millis = wait.as_micros().div_ceil(1000).min(60_000) as i32;
        // SAFETY: there is room for `most` pointers behind the last; librdkafka writes that many at most and tells how
        // many. Each is a message that is this list's from now on.
        unsafe {
            let room = messages.raw.as_mut_ptr().add(have);
            let came = rd::rd_kafka_consume_batch_queue(self.inbox.0.as_ptr(), millis, room.cast(), most);
            messages.raw.set_len(have + usize::try_from(came).unwrap_or(0).min(most));
        }
    }
}

/// Messages of a reader, in the order of their offsets within each partition.
#[derive(Default)]
pub(super) struct Messages<'r> {
    raw: Vec<NonNull<rd::rd_kafka_message_t>>,
    reader: PhantomData<&'r ()>,
}

impl Messages<'_> {
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: every pointer is a message that lives until this list gives it back.
        self.raw.iter().map(|raw| Message(unsafe { raw.as_ref() }))
    }

    /// Takes the messages of a partition out, in their order.
    pub(super) fn take(&mut self, partition: u32) -> Self {
        let (taken, left) = self.raw.drain(..).partition(|raw| {
            // SAFETY: every pointer is a message that lives until this list gives it back.
            Message(unsafe { raw.as_ref() }).partition() == partition
        });
        self.raw = left;
        Messages { raw: taken, reader: PhantomData }
    }

    /// Gives all messages back.
    pub(super) fn clear(&mut self) {
        for raw in self.raw.drain(..) {
            // SAFETY: the message is this list's and is taken out of it.
            unsafe { rd::rd_kafka_message_destroy(raw.as_ptr()) }
        }
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One message, or something that happened to its partition.
#[derive(Clone, Copy)]
pub(super) struct Message<'m>(&'m rd::rd_kafka_message_t);

impl<'m> Message<'m> {
    /// What happened, if this is no message.
    pub(super) fn fault(self) -> Option<Code> {
        (self.0.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| self.0.err.into())
    }

    pub(super) fn partition(self) -> u32 {
        self.0.partition.max(0) as u32
    }

    pub(super) fn offset(self) -> u64 {
        self.0.offset.max(0) as u64
    }

    /// When the log took it, in milliseconds; 0 when that is not told.
    pub(super) fn millis(self) -> i64 {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message lives; the kind is written to.
        unsafe { rd::rd_kafka_message_timestamp(self.0, &mut kind) }.max(0)
    }

    pub(super) fn key(self) -> Option<&'m [u8]> {
        // SAFETY: librdkafka's pointer and length of the key.
        unsafe { slice(self.0.key, self.0.key_len) }
    }

    pub(super) fn value(self) -> Option<&'m [u8]> {
        // SAFETY: librdkafka's pointer and length of the payload.
        unsafe { slice(self.0.payload, self.0.len) }
    }
}

/// # Safety
/// `start` is null or the begin of `length` bytes that live and do not change for `'m`.
unsafe fn slice<'m>(start: *const std::ffi::c_void, length: usize) -> Option<&'m [u8]> {
    // SAFETY: as promised by the caller.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// The partition of records whose key decides: librdkafka's `RD_KAFKA_PARTITION_UA`, a macro that has no binding.
const BY_KEY: i32 = -1;

/// A topic to which many records are written at a time.
pub(super) struct Topic {
    handle: NonNull<rd::rd_kafka_topic_t>,
    waiting: Vec<rd::rd_kafka_message_t>,
}

// SAFETY: a topic of librdkafka may be used by any thread. What waits is only ever pointers inside of `Topic::send`.
unsafe impl Send for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the handle is one reference, given back once. It may outlive the producer's own handle: it holds the
        // topic, which holds the client's inner parts.
        unsafe { rd::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

/// A record to be written: partition (`None`: by its key), key, value.
pub(super) type Entry<'e> = (Option<u32>, Option<&'e [u8]>, Option<&'e [u8]>);

impl Topic {
    /// The topic `name` of `producer`, which must outlive it; `None` for a name that no topic can have.
    pub(super) fn new<C: ProducerContext>(producer: &BaseProducer<C>, name: &str) -> Option<Topic> {
        let name = CString::new(name).ok()?;
        // SAFETY: the client lives; the name is a C string for the length of the call; without settings of the topic's
        // own the client's apply.
        let handle =
            unsafe { rd::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        Some(Topic { handle: NonNull::new(handle)?, waiting: Vec::new() })
    }

    /// Hands records to librdkafka, which copies them, in their order. All are for the partition of the first. (A
    /// partition for each is possible, but in a transaction librdkafka 2.12 then loses those of a topic whose partitions
    /// it does not know yet.) Tells how many it took; when it was full, it took none behind those.
    ///
    /// # Errors
    /// Why not all were taken; [`Code::QueueFull`] passes.
    pub(super) fn send(&mut self, records: &[Entry<'_>]) -> (usize, Option<Code>) {
        let partition = records.first().and_then(|(partition, _, _)| *partition);
        self.waiting.clear();
        self.waiting.extend(records.iter().map(|(_, key, value)| {
            let (key, value) = (pointer(*key), pointer(*value));
            rd::rd_kafka_message_t {
                err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: ptr::null_mut(),
                partition: 0,
                payload: value.0,
                len: value.1,
                key: key.0,
                key_len: key.1,
                offset: 0,
                _private: ptr::null_mut(),
            }
        }));
        // SAFETY: the handle lives. There are as many messages as is said, and their pointers are those of slices that
        // live for the length of the call; librdkafka copies what they point to and only reads it.
        let taken = unsafe {
            rd::rd_kafka_produce_batch(
                self.handle.as_ptr(),
                partition.map_or(BY_KEY, |partition| partition as i32),
                rd::RD_KAFKA_MSG_F_COPY,
                self.waiting.as_mut_ptr(),
                self.waiting.len() as i32,
            )
        };
        if taken as usize == records.len() {
            return (records.len(), None);
        }
        let refused =
            |message: &rd::rd_kafka_message_t| message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let first = self.waiting.iter().position(refused).unwrap_or(0);
        (first, Some(self.waiting[first].err.into()))
    }
}

fn pointer(bytes: Option<&[u8]>) -> (*mut std::ffi::c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |bytes| (bytes.as_ptr().cast_mut().cast(), bytes.len()))
}
