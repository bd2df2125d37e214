use std::fmt;

use criterion::Criterion;

use crate::Rounds;

/// The ratios of a bench's rows, as Markdown.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    peer: &'static str,
    /// The ratio that has to be reached, where there is one.
    goal: Option<f64>,
    /// Nanoseconds an iteration: the subject's and the peer's.
    rounds: Vec<(f64, f64)>,
}

impl Table {
    /// A table without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures `rounds` and adds the row `name`, unless criterion's filter
    /// left it out. `goal` is the ratio to `peer` that is asked for.
    pub fn row(
        &mut self,
        criterion: &mut Criterion,
        name: &str,
        peer: &'static str,
        goal: Option<f64>,
        rounds: Rounds<'_>,
    ) {
        let rounds = rounds.measure(criterion, name);
        if !rounds.is_empty() {
            self.rows.push(Row {
                name: name.to_owned(),
                peer,
                goal,
                rounds,
            });
        }
    }

    /// Prints what was measured.
    #[allow(
        clippy::print_stdout,
        reason = "the table is what the bench was run for"
    )]
    pub fn print(&self) {
        if !self.rows.is_empty() {
            println!("\n{self}");
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | ours | peer | | ratio | quartiles | goal |")?;
        writeln!(f, "| --- | ---: | ---: | --- | ---: | --- | ---: |")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, ours, _] = quartiles(self.rounds.iter().map(|(ours, _)| *ours));
        let [_, peers, _] = quartiles(self.rounds.iter().map(|(_, peers)| *peers));
        let [low, ratio, high] = quartiles(self.rounds.iter().map(|(ours, peers)| ours / peers));
        let goal = match self.goal {
            None => String::new(),
            Some(goal) if ratio <= goal => format!("≤ {}", share(goal)),
            Some(goal) => format!("≤ {}, missed", share(goal)),
        };
        write!(
            f,
            "| {} | {} | {} | {} | {} | {}–{} | {goal} |",
            self.name,
            time(ours),
            time(peers),
            self.peer,
            share(ratio),
            share(low),
            share(high),
        )
    }
}

/// A ratio, with as many digits as say something.
fn share(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("1/{:.0}", 1.0 / ratio)
    } else {
        format!("{ratio:.2}")
    }
}

fn time(nanos: f64) -> String {
    if nanos < 1e6 {
        format!("{:.1} µs", nanos / 1e3)
    } else {
        format!("{:.1} ms", nanos / 1e6)
    }
}

/// The lower quartile, the median and the upper quartile.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [last / 4, last / 2, last - last / 4].map(|index| values[index])
}
