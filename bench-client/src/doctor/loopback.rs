//! The floor under every latency: one byte there and back over TCP on loopback, between the server's and the client's
//! processor, with cores left to sleep and kept awake.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::Finding;
use crate::cell::Cell;
use crate::machine::{KeptAwake, Machine, pin_current_thread};
use crate::measure::keep_awake;
use crate::record::new_histogram;

/// Round trips that only warm caches and connection.
const WARM_UP: u32 = 200;

/// Round trips in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RoundTrips {
    us_p50: f64,
    us_p99: f64,
}

pub(super) fn look(machine: &Machine, length: Duration) -> Finding {
    let asleep = round_trips(machine, length);
    let awake = match &machine.keep_awake {
        KeptAwake::On => {
            keep_awake(machine).map_err(|error| error.to_string()).and_then(|_spinners| round_trips(machine, length))
        }
        KeptAwake::Off { reason } => Err(reason.clone()),
    };
    finding(asleep.into(), awake.into())
}

fn round_trips(machine: &Machine, length: Duration) -> Result<RoundTrips, String> {
    let (server_cpu, client_cpu) = (machine.server_cpus.first().copied(), machine.client_cpu);
    let measured = (|| -> io::Result<RoundTrips> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Before either thread: whatever ends one of them ends the connection, and with it the other.
        let mut stream = TcpStream::connect(listener.local_addr()?)?;
        let server = std::thread::Builder::new().spawn(move || -> io::Result<()> {
            server_cpu.map_or(Ok(()), pin_current_thread)?;
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut byte = [0];
            while stream.read(&mut byte)? > 0 {
                stream.write_all(&byte)?;
            }
            Ok(())
        })?;
        // A thread of its own: binding lasts as long as the thread.
        let client = std::thread::Builder::new().spawn(move || -> io::Result<RoundTrips> {
            client_cpu.map_or(Ok(()), pin_current_thread)?;
            stream.set_nodelay(true)?;
            for _ in 0..WARM_UP {
                there_and_back(&mut stream)?;
            }
            let (mut times, start) = (new_histogram(), Instant::now());
            while times.is_empty() || start.elapsed() < length {
                let sent = Instant::now();
                there_and_back(&mut stream)?;
                times.saturating_record(sent.elapsed().as_nanos() as u64);
            }
            let us = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
            Ok(RoundTrips { us_p50: us(0.5), us_p99: us(0.99) })
        })?;
        let panicked = |_| io::Error::other("a thread ended early");
        let times = client.join().map_err(panicked)?;
        server.join().map_err(panicked)??;
        times
    })();
    measured.map_err(|error| format!("round trips on loopback cannot be measured: {error}"))
}

fn there_and_back(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&[1])?;
    stream.read_exact(&mut [0])
}

fn finding(asleep: Cell<RoundTrips>, awake: Cell<RoundTrips>) -> Finding {
    const NAME: &str = "loopback";
    let us = |times: &RoundTrips| format!("{:.0} µs (p50), {:.0} µs (p99)", times.us_p50, times.us_p99);
    let finding = match (&asleep, &awake) {
        (Cell::Blank { blank }, _) => Finding::problem(NAME, blank, "allow TCP connections on 127.0.0.1"),
        (Cell::Known(asleep), Cell::Known(awake)) => {
            Finding::ok(NAME, format!("round trip of one byte: {}; with cores kept awake {}", us(asleep), us(awake)))
        }
        (Cell::Known(asleep), Cell::Blank { blank }) => {
            Finding::ok(NAME, format!("round trip of one byte: {}; cores not kept awake: {blank}", us(asleep)))
        }
    };
    let figures = [("asleep", asleep), ("awake", awake)];
    figures.into_iter().fold(finding, |finding, (state, times)| {
        let times = times.known().copied();
        finding
            .figure(&format!("round_trip_{state}_us_p50"), times.map(|times| times.us_p50))
            .figure(&format!("round_trip_{state}_us_p99"), times.map(|times| times.us_p99))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn round_trips_are_measured_between_bound_threads() {
        let times = round_trips(&Machine::detect(true), Duration::ZERO).expect("loopback is there");
        assert!(times.us_p50 > 0.0 && times.us_p50 <= times.us_p99, "{times:?}");
    }

    #[test]
    fn what_could_not_be_measured_is_null_with_its_reason() {
        let times = RoundTrips { us_p50: 30.0, us_p99: 60.0 };
        let both = finding(Cell::Known(times), Cell::Known(RoundTrips { us_p50: 20.0, us_p99: 40.0 }));
        assert_eq!((both.grade, both.figures["round_trip_awake_us_p50"].as_f64()), (Grade::Ok, Some(20.0)));
        let one = finding(Cell::Known(times), Cell::blank("refused"));
        assert!(one.found.contains("refused") && one.figures["round_trip_awake_us_p99"].is_null());
        assert_eq!(finding(Cell::blank("no network"), Cell::blank("no network")).grade, Grade::Problem);
    }
}
