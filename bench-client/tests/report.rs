//! The report of a run whose every figure is known beforehand.

#[path = "report/fixture.rs"]
mod fixture;

use bench_client::report::Report;

#[test]
fn keep() {
    let run = fixture::run();
    println!("{}", bench_client::report::terminal(&run));
    let _ = Report::new(&run);
    use bench_client::report::Format::*;
    bench_client::report::write(&run, std::path::Path::new("/tmp/c4report"), &[Html, Markdown, Csv, Svg, Png, Json, Hgrm]).unwrap();
}
