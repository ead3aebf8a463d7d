//! Known dates in every form accepted, and forms that must be refused.

use super::{DateReader, Moment, iso_date, parse_iso};
use crate::summary::EpochUnit;

const DAY: i64 = 86_400;

fn iso(text: &str) -> Option<i64> {
    parse_iso(text).map(|moment| moment.seconds)
}

fn reader(format: Option<&str>, unit: Option<EpochUnit>) -> DateReader {
    DateReader::new(format, unit).unwrap()
}

#[test]
fn iso_forms_of_one_moment_agree() {
    // 2011-12-09T08:26:00Z, by `date -u -d ... +%s`.
    let moment = 1_323_419_160;
    for text in [
        "2011-12-09T08:26:00",
        "2011-12-09 08:26:00",
        "2011-12-09T08:26",
        "2011-12-09T08:26:00Z",
        "2011-12-09T09:26:00+01:00",
        "2011-12-09 03:26:00-05:00",
        "2011-12-09T08:26:00.999999999Z",
        "  2011-12-09T08:26:00.5 ",
    ] {
        assert_eq!(iso(text), Some(moment), "{text}");
    }
    let midnight = moment - moment.rem_euclid(DAY);
    for text in ["2011-12-09", "20111209", " 2011-12-09 "] {
        let date_only = true;
        let seconds = midnight;
        assert_eq!(
            parse_iso(text),
            Some(Moment { seconds, date_only }),
            "{text}"
        );
    }
}

#[test]
fn moments_before_1970_round_down() {
    assert_eq!(iso("1969-12-31T23:59:59.5Z"), Some(-1));
    assert_eq!(iso("1969-12-31T23:59:59.5"), Some(-1));
    assert_eq!(iso("1969-12-31"), Some(-DAY));
    assert_eq!(iso_date(-1), "1969-12-31T23:59:59");
}

#[test]
fn what_is_not_a_date_is_refused() {
    for text in [
        "",
        "-",
        "2011",
        "2011-12",
        "2011-13-01",
        "2011-02-29",
        "20110229",
        "09/12/2011",
        "2011-12-09T25:00:00",
        "2011-12-09T08:26:00[Europe/Paris]",
        "1323419160",
        "08:26:00",
        "2011-12-0a",
        "２０１１-12-09",
        "99999999",
        "-20111209",
    ] {
        assert_eq!(iso(text), None, "{text}");
    }
}

#[test]
fn the_last_day_of_the_calendar_is_a_date() {
    assert_eq!(
        iso("9999-12-31").map(iso_date).as_deref(),
        Some("9999-12-31")
    );
    assert_eq!(reader(None, None).whole(99_991_231), iso("9999-12-31"));
}

#[test]
fn formats_read_text_and_digits() {
    let european = reader(Some("%d/%m/%Y %H:%M"), None);
    assert_eq!(european.text("09/12/2011 08:26"), Some(1_323_419_160));
    assert_eq!(european.text("2011-12-09"), None);
    let day = reader(Some("%d%m%Y"), None);
    assert_eq!(day.text("09122011"), iso("2011-12-09"));
    assert_eq!(day.whole(10_122_011), iso("2011-12-10"));
    let offset = reader(Some("%Y-%m-%d %H:%M %z"), None);
    assert_eq!(offset.text("2011-12-09 09:26 +0100"), Some(1_323_419_160));
}

#[test]
fn formats_that_name_no_date_are_refused() {
    for format in ["%H:%M", "%m/%d", "", "%Q", "year", "%Y-%m-%d %!"] {
        let error = DateReader::new(Some(format), None).unwrap_err();
        assert!(
            error.to_string().starts_with("options.date_format: is \""),
            "{error}"
        );
    }
}

#[test]
fn numbers_are_days_of_the_calendar_unless_a_unit_is_given() {
    let plain = reader(None, None);
    assert_eq!(plain.whole(20_111_209), iso("2011-12-09"));
    assert_eq!(plain.float(20_111_209.0), iso("2011-12-09"));
    assert_eq!(plain.whole(1_323_419_160), None);
    assert_eq!(plain.float(20_111_209.5), None);
    for (unit, number) in [
        (EpochUnit::Seconds, 1_323_419_160),
        (EpochUnit::Milliseconds, 1_323_419_160_999),
        (EpochUnit::Microseconds, 1_323_419_160_999_999),
        (EpochUnit::Nanoseconds, 1_323_419_160_999_999_999),
    ] {
        let epoch = reader(None, Some(unit));
        assert_eq!(epoch.whole(number), Some(1_323_419_160), "{unit:?}");
        assert_eq!(
            epoch.text(&number.to_string()),
            Some(1_323_419_160),
            "{unit:?}"
        );
    }
    let days = reader(None, Some(EpochUnit::Days));
    assert_eq!(days.whole(15_317), iso("2011-12-09"));
    assert_eq!(days.float(15_317.5), Some(15_317 * DAY + DAY / 2));
    assert_eq!(days.whole(i64::MAX), None);
    assert_eq!(days.float(f64::INFINITY), None);
    assert_eq!(days.float(f64::NAN), None);
    assert_eq!(reader(None, Some(EpochUnit::Seconds)).float(-0.5), Some(-1));
}
