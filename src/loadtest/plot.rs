//! Line charts as SVG, drawn by hand so that a page needs nothing from anywhere.
//!
//! Invariant: colours come from the page's style, by class, so that a chart is right in light and in dark; every value that could
//! not be drawn (not finite, not positive on a logarithmic axis) is left out, never moved.

use std::fmt::Write;

use super::table::number;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Log,
    /// Likewise: microseconds, told in the unit that fits.
    Times,
    /// Quantiles from 0 to 1 by their distance from 1, so that the tail has room.
    Nines,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Whose.
    pub name: String,
    /// Which colour, by its class.
    pub class: String,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
    /// Whether single points are marked.
    pub dots: bool,
    /// Over a wider gap than this nothing is known, and no line is drawn.
    pub gap: f64,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What lies below.
    pub x: (&'static str, Scale),
    /// What lies to the left.
    pub y: (&'static str, Scale),
    /// What is drawn, the last one on top.
    pub lines: Vec<Line>,
}

impl Plot {
    /// As an SVG element; nothing if there is nothing to draw.
    #[must_use]
    pub fn render(&self) -> String {
        let drawable: Vec<Vec<(f64, f64)>> = self
            .lines
            .iter()
            .map(|line| line.points.iter().copied().filter(|(x, y)| self.x.1.takes(*x) && self.y.1.takes(*y)).collect())
            .collect();
        let all = || drawable.iter().flatten();
        let (Some(xs), Some(ys)) = (range(all().map(|(x, _)| *x), self.x.1), range(all().map(|(_, y)| *y), self.y.1))
        else {
            return String::new();
        };
        let x_at = |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * part(x, xs, self.x.1);
        let y_at = |y: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part(y, ys, self.y.1);
        let mut svg =
            format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", escape(&self.title));
        let floor = HEIGHT - BOTTOM;
        // Writing to a string cannot fail.
        for (value, told) in ticks(ys, self.y.1) {
            let y = y_at(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" class=\"end\">{told}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0
            );
        }
        for (value, told) in ticks(xs, self.x.1) {
            let x = x_at(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{floor}\"/><text x=\"{x:.1}\" y=\"{:.1}\" class=\"mid\">{told}</text>",
                floor + 16.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"mid name\">{}</text><text transform=\"translate(13 {:.1}) rotate(-90)\" class=\"mid name\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            self.x.0,
            (TOP + floor) / 2.0,
            self.y.0
        );
        for (line, points) in self.lines.iter().zip(&drawable) {
            let _ = writeln!(svg, "<g class=\"{}\"><title>{}</title>", line.class, escape(&line.name));
            for known in points.chunk_by(|(before, _), (after, _)| after - before <= line.gap) {
                let path: Vec<_> = known.iter().map(|(x, y)| format!("{:.1},{:.1}", x_at(*x), y_at(*y))).collect();
                let _ = writeln!(svg, "<polyline points=\"{}\"/>", path.join(" "));
            }
            for (x, y) in points.iter().filter(|_| line.dots) {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}: {} at {}</title></circle>",
                    x_at(*x),
                    y_at(*y),
                    escape(&line.name),
                    number(*y),
                    number(*x)
                );
            }
            svg.push_str("</g>\n");
        }
        svg.push_str("</svg>");
        svg
    }
}

impl Scale {
    fn takes(self, value: f64) -> bool {
        let drawable = value.is_finite() && value < 1e15;
        drawable
            && match self {
                Self::Linear => true,
                Self::Log | Self::Times => value > 0.0,
                Self::Nines => (0.0..1.0).contains(&value),
            }
    }

    fn straight(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log | Self::Times => value.log10(),
            Self::Nines => -(1.0 - value).log10(),
        }
    }
}

/// From the lowest to the highest, a little wider, and never of no width.
fn range(values: impl Iterator<Item = f64>, scale: Scale) -> Option<(f64, f64)> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return None;
    }
    Some(match scale {
        // Amounts begin at nothing.
        Scale::Linear => (low.min(0.0), if high > low.min(0.0) { high * 1.05 } else { low + 1.0 }),
        Scale::Log | Scale::Times => (low / 1.15, high * 1.15),
        Scale::Nines => (0.0, high.max(0.99)),
    })
}

fn part(value: f64, (low, high): (f64, f64), scale: Scale) -> f64 {
    let (low, high) = (scale.straight(low), scale.straight(high));
    (scale.straight(value) - low) / (high - low)
}

fn ticks((low, high): (f64, f64), scale: Scale) -> Vec<(f64, String)> {
    let told = |value: f64| (value, if scale == Scale::Times { time(value) } else { short(value) });
    match scale {
        Scale::Nines => [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999]
            .into_iter()
            .filter(|quantile| (low..=high).contains(quantile))
            .map(|quantile| (quantile, format!("{}", (quantile * 1e5).round() / 1e3)))
            .collect(),
        Scale::Log | Scale::Times => {
            let decades = (high / low).log10();
            let within: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
            let all = powers.flat_map(|power| within.iter().map(move |step| step * 10_f64.powi(power)));
            let round: Vec<_> = all.filter(|value| (low..=high).contains(value)).map(told).collect();
            // Of a narrow range a power of ten may miss all.
            match round.len() {
                0 | 1 => even(low, high).map(told).collect(),
                _ => round,
            }
        }
        Scale::Linear => even(low, high).map(told).collect(),
    }
}

fn even(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let rough = (high - low) / 5.0;
    let unit = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * unit);
    let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..=(high / step).floor() as i64).map(move |n| n as f64 * step)
}

/// Microseconds, in the unit that fits.
fn time(micros: f64) -> String {
    match micros.abs() {
        size if size >= 1e6 => format!("{} s", short(micros / 1e6)),
        size if size >= 1e3 => format!("{} ms", short(micros / 1e3)),
        _ => format!("{} µs", short(micros)),
    }
}

/// As an axis has room for.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", (value / 1e4).round() / 100.0),
        size if size >= 1e4 => format!("{}k", (value / 10.0).round() / 100.0),
        _ => format!("{}", (value * 1000.0).round() / 1000.0),
    }
}

/// Text as it may stand in markup.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(x: Scale, y: Scale, points: &[(f64, f64)]) -> String {
        let line = Line { name: "a".into(), class: "c".into(), points: points.to_vec(), dots: true, gap: f64::MAX };
        Plot { title: "t".into(), x: ("x", x), y: ("y", y), lines: vec![line] }.render()
    }

    #[test]
    fn everything_lies_inside_and_what_cannot_be_drawn_is_left_out() {
        for (x, y) in [(Scale::Linear, Scale::Linear), (Scale::Linear, Scale::Log), (Scale::Nines, Scale::Log)] {
            let svg = plot(x, y, &[(0.0, 1.0), (0.5, 20.0), (0.999, 4000.0), (1.0, f64::MAX), (0.7, f64::NAN)]);
            let mut seen = 0;
            for circle in svg.split("<circle cx=\"").skip(1) {
                let cx: f64 = circle.split('"').next().unwrap().parse().unwrap();
                let cy: f64 = circle.split('"').nth(2).unwrap().parse().unwrap();
                assert!((LEFT..=WIDTH - RIGHT).contains(&cx) && (TOP..=HEIGHT - BOTTOM).contains(&cy), "{cx} {cy}");
                seen += 1;
            }
            assert_eq!(seen, 3, "{svg}");
        }
        assert_eq!(plot(Scale::Linear, Scale::Log, &[(1.0, 0.0)]), "");
        assert_eq!(plot(Scale::Linear, Scale::Linear, &[]), "");
        assert!(plot(Scale::Linear, Scale::Linear, &[(5.0, 5.0)]).contains("<circle"));
    }

    #[test]
    fn what_is_not_known_is_not_drawn() {
        let points = vec![(0.0, 1.0), (0.1, 1.0), (5.0, 2.0), (5.1, 2.0)];
        let line = Line { name: "a".into(), class: "c".into(), points, dots: false, gap: 1.0 };
        let plot = Plot { title: "t".into(), x: ("x", Scale::Linear), y: ("y", Scale::Linear), lines: vec![line] };
        assert_eq!(plot.render().matches("<polyline").count(), 2);
    }

    #[test]
    fn ticks_are_round() {
        let told = |range, scale| ticks(range, scale).into_iter().map(|(_, told)| told).collect::<Vec<_>>().join(" ");
        assert_eq!(told((0.0, 47.0), Scale::Linear), "0 10 20 30 40");
        assert_eq!(told((30.0, 700.0), Scale::Log), "50 100 200 500");
        assert_eq!(told((1100.0, 1240.0), Scale::Log), "1100 1150 1200");
        assert_eq!(told((1.0, 1e6), Scale::Log), "1 10 100 1000 10k 100k 1M");
        assert_eq!(told((100.0, 2e6), Scale::Times), "100 µs 1 ms 10 ms 100 ms 1 s");
        assert_eq!(told((2.4e6, 2.8e6), Scale::Times), "2.4 s 2.5 s 2.6 s 2.7 s 2.8 s");
        assert_eq!(told((0.0, 0.9999), Scale::Nines), "0 50 90 99 99.9 99.99");
    }
}
