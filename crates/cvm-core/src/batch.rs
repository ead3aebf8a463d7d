//! Columnar batches of rows: borrowed, never copied.

use crate::{FieldKind, InputError, InputSchema, RowCode, RowIssue, RowStatus, Violation};
use ndarray::{ArrayView1, s};

/// A column of text as dictionary codes.
#[derive(Debug, Clone, Copy)]
pub struct TextColumn<'a> {
    /// Distinct strings.
    pub dictionary: &'a [String],
    /// One index into `dictionary` per row; a negative code is missing.
    pub codes: &'a [i32],
}

impl<'a> TextColumn<'a> {
    /// The string of `row`, or `None` if it is missing (or its code is outside the dictionary,
    /// which [`Batch::push`] refuses).
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let code = usize::try_from(*self.codes.get(row)?).ok()?;
        self.dictionary.get(code).map(String::as_str)
    }
}

/// A borrowed column.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// Numbers; NaN is missing. The view may be strided.
    Numbers(ArrayView1<'a, f64>),
    /// Text.
    Text(TextColumn<'a>),
}

impl<'a> Column<'a> {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Column::Numbers(view) => view.len(),
            Column::Text(text) => text.codes.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same column, borrowed for a shorter time.
    fn reborrow<'b>(self) -> Column<'b>
    where
        'a: 'b,
    {
        match self {
            Column::Numbers(view) => Column::Numbers(view.reborrow()),
            Column::Text(text) => Column::Text(text),
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Column::Numbers(_) => "numbers",
            Column::Text(_) => "text",
        }
    }
}

/// The category a number stands for: `1.0` is the level `1`, `0.5` the level `0.5`. One rule, so
/// that an integer column and a float column of the same values name the same levels.
#[must_use]
pub fn number_to_level(value: f64) -> Option<String> {
    if value.is_nan() {
        return None;
    }
    // `+ 0.0` turns -0.0 into 0.0; Rust prints 1.0 as "1" and is the same on every platform.
    Some(format!("{}", value + 0.0))
}

/// A batch of rows as named, equally long columns.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    row_count: usize,
    columns: Vec<(&'a str, Column<'a>)>,
}

impl<'a> Batch<'a> {
    /// An empty batch of `row_count` rows.
    #[must_use]
    pub fn new(row_count: usize) -> Self {
        Batch {
            row_count,
            columns: Vec::new(),
        }
    }

    /// A batch of columns, whose names are compared all at once.
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn of_columns(
        row_count: usize,
        columns: Vec<(&'a str, Column<'a>)>,
    ) -> Result<Self, InputError> {
        for (name, column) in &columns {
            check_column(name, column, row_count)?;
        }
        let mut names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(given_twice(pair[0])),
            None => Ok(Batch { row_count, columns }),
        }
    }

    /// Adds a column.
    ///
    /// # Errors
    /// A column of another length, a name used twice, or a text code outside its dictionary.
    pub fn push(&mut self, name: &'a str, column: Column<'a>) -> Result<(), InputError> {
        check_column(name, &column, self.row_count)?;
        if self.get(name).is_some() {
            return Err(given_twice(name));
        }
        self.columns.push((name, column));
        Ok(())
    }

    /// Adds a contiguous column of numbers.
    ///
    /// # Errors
    /// As [`Batch::push`].
    pub fn push_numbers(&mut self, name: &'a str, values: &'a [f64]) -> Result<(), InputError> {
        self.push(name, Column::Numbers(ArrayView1::from(values)))
    }

    /// The batch with `values` for the column of that name, which it has.
    ///
    /// # Errors
    /// A column of another length.
    pub fn with_replaced<'b>(&self, name: &str, values: &'b [f64]) -> Result<Batch<'b>, InputError>
    where
        'a: 'b,
    {
        let column = Column::Numbers(ArrayView1::from(values));
        check_column(name, &column, self.row_count)?;
        let kept = |(own, old): &(&'a str, Column<'a>)| {
            let column = if *own == name { column } else { old.reborrow() };
            (*own, column)
        };
        Ok(Batch {
            row_count: self.row_count,
            columns: self.columns.iter().map(kept).collect(),
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.row_count
    }

    /// The column of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Column<'a>> {
        self.columns
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, column)| column)
    }

    /// Names in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.columns.iter().map(|(name, _)| *name)
    }

    /// Picks and type-checks the columns of `schema`; other columns are ignored.
    ///
    /// # Errors
    /// Every missing column and every column of the wrong type, all at once.
    pub fn bind<'s>(&self, schema: &'s InputSchema) -> Result<BoundBatch<'a, 's>, InputError> {
        let mut columns = Vec::with_capacity(schema.fields.len());
        let mut violations = Vec::new();
        for (place, field) in schema.fields.iter().enumerate() {
            match self.near(place, &field.name) {
                Some(column) if fits(column, &field.kind) => columns.push(*column),
                Some(column) => violations.push(Violation {
                    field: format!("columns.{}", field.name),
                    description: format!("holds {}, expected numbers", column.type_name()),
                }),
                None => violations.push(self.absent(&field.name, schema)),
            }
        }
        if violations.is_empty() {
            return Ok(BoundBatch {
                row_count: self.row_count,
                columns,
                schema,
            });
        }
        Err(InputError { violations })
    }

    /// [`Batch::get`], which finds a column at `place` without a search.
    fn near(&self, place: usize, name: &str) -> Option<&Column<'a>> {
        match self.columns.get(place) {
            Some((own, column)) if *own == name => Some(column),
            _ => self.get(name),
        }
    }

    fn absent(&self, name: &str, schema: &InputSchema) -> Violation {
        let needed: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
        let given: Vec<&str> = self.names().take(40).collect();
        Violation {
            field: format!("columns.{name}"),
            description: format!(
                "is missing; the model needs [{}], the batch has [{}]",
                needed.join(", "),
                given.join(", ")
            ),
        }
    }
}

/// A category accepts text, and numbers through [`number_to_level`].
fn fits(column: &Column<'_>, kind: &FieldKind) -> bool {
    match kind {
        FieldKind::Number { .. } => matches!(column, Column::Numbers(_)),
        FieldKind::Category { .. } => true,
    }
}

fn check_column(name: &str, column: &Column<'_>, row_count: usize) -> Result<(), InputError> {
    let wrong = |why: String| InputError::new(format!("columns.{name}"), why);
    if column.len() != row_count {
        let got = column.len();
        return Err(wrong(format!("has {got} rows, expected {row_count}")));
    }
    match column {
        Column::Text(text) => check_codes(text).map_err(wrong),
        Column::Numbers(_) => Ok(()),
    }
}

fn given_twice(name: &str) -> InputError {
    InputError::new(format!("columns.{name}"), "is given twice")
}

fn check_codes(text: &TextColumn<'_>) -> Result<(), String> {
    let size = text.dictionary.len();
    let outside = |code: &i32| usize::try_from(*code).is_ok_and(|code| code >= size);
    match text.codes.iter().position(outside) {
        None => Ok(()),
        Some(row) => Err(format!(
            "row {row} has code {}, the dictionary has {size} strings",
            text.codes.get(row).copied().unwrap_or_default()
        )),
    }
}

/// A batch whose columns are in the order of a model's schema and of the right types.
#[derive(Debug, Clone)]
pub struct BoundBatch<'a, 's> {
    /// Number of rows.
    pub row_count: usize,
    /// Columns in schema order.
    pub columns: Vec<Column<'a>>,
    /// The schema they were bound to.
    pub schema: &'s InputSchema,
}

impl BoundBatch<'_, '_> {
    /// Rows `start..start + buffer.len()` of numeric field `field`: the caller's own where they lie one
    /// after the other, or else a copy in `buffer`, as [`BoundBatch::read_numbers`] makes it.
    pub fn numbers<'a>(&'a self, field: usize, start: usize, buffer: &'a mut [f64]) -> &'a [f64] {
        let range = start..start + buffer.len();
        if let Some(Column::Numbers(view)) = self.columns.get(field)
            && let Some(rows) = view.as_slice().and_then(|all| all.get(range))
        {
            return rows;
        }
        self.read_numbers(field, start, buffer);
        buffer
    }

    /// Copies rows `start..start + out.len()` of numeric field `field` into `out`: one block that
    /// stays in cache, whatever the stride of the caller's array. A text field gives NaN.
    pub fn read_numbers(&self, field: usize, start: usize, out: &mut [f64]) {
        match self.columns.get(field) {
            Some(Column::Numbers(view)) => {
                if let Some(all) = view.as_slice() {
                    let end = start + out.len();
                    if let Some(rows) = all.get(start..end) {
                        out.copy_from_slice(rows);
                        return;
                    }
                }
                let end = (start + out.len()).min(view.len());
                let rows = view.slice(s![start.min(end)..end]);
                let (filled, rest) = out.split_at_mut(rows.len());
                filled.iter_mut().zip(rows).for_each(|(slot, x)| *slot = *x);
                rest.fill(f64::NAN);
            }
            _ => out.fill(f64::NAN),
        }
    }

    /// The value of one cell as text, for messages.
    #[must_use]
    pub fn cell(&self, field: usize, row: usize) -> String {
        match self.columns.get(field) {
            Some(Column::Numbers(view)) => view
                .get(row)
                .map_or_else(String::new, |value| format!("{value}")),
            Some(Column::Text(text)) => text
                .get(row)
                .map_or_else(|| "null".to_owned(), |level| format!("\"{level}\"")),
            None => String::new(),
        }
    }

    /// A bad row in words.
    #[must_use]
    pub fn describe(&self, row: usize, status: RowStatus) -> RowIssue {
        let field_index = usize::from(status.field);
        let value = self.cell(field_index, row);
        let (name, allowed) = match self.schema.fields.get(field_index) {
            Some(field) => (field.name.clone(), allowed(&field.kind)),
            None => (String::new(), String::new()),
        };
        let what = match status.code {
            RowCode::Ok => "is fine".to_owned(),
            RowCode::Missing => format!("is missing: must be {allowed}"),
            RowCode::NotFinite => format!("is {value}: must be {allowed}"),
            RowCode::OutOfRange => format!("is {value}: must be {allowed}"),
            RowCode::Inconsistent => format!("is {value}: contradicts the row's other fields"),
            RowCode::UnseenLevel => format!("is {value}: must be {allowed}"),
            RowCode::Undefined => "leaves the requested quantity without a finite value".to_owned(),
            RowCode::Infinite => "leaves an expectation infinite at the model's parameters: its \
                                  distribution has no mean (see the model's page)"
                .to_owned(),
            RowCode::NotCovered => format!(
                "is {value}: covariates must be known from the first purchase, or the start of the \
                 contract, to the end of observation and of the forecast"
            ),
        };
        let message = format!("row {row}: {name} {what}");
        RowIssue {
            row,
            code: status.code,
            field: name,
            value,
            message,
        }
    }
}

fn allowed(kind: &FieldKind) -> String {
    match kind {
        FieldKind::Number { domain } => domain.to_string(),
        FieldKind::Category { levels, .. } => {
            let shown: Vec<String> = levels
                .iter()
                .take(12)
                .map(|level| format!("\"{level}\""))
                .collect();
            let more = if levels.len() > shown.len() {
                ", …"
            } else {
                ""
            };
            format!("one of {}{more}", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Column, TextColumn, number_to_level};
    use crate::{Domain, InputField, InputSchema, RowCode, RowStatus};
    use ndarray::{Array2, ArrayView1, s};

    fn schema() -> InputSchema {
        let frequency = InputField::number("frequency", "purchases", Domain::Count);
        let age = InputField::number("T", "periods", Domain::Positive);
        InputSchema {
            fields: vec![frequency, age],
            time_unit: None,
        }
    }

    #[test]
    fn strided_columns_are_read_without_a_copy_of_the_matrix() {
        let matrix = Array2::from_shape_vec((3, 2), vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]).unwrap();
        let mut batch = Batch::new(3);
        batch
            .push("T", Column::Numbers(matrix.slice(s![.., 1])))
            .unwrap();
        batch
            .push("frequency", Column::Numbers(matrix.slice(s![.., 0])))
            .unwrap();
        let schema = schema();
        let bound = batch.bind(&schema).unwrap();
        let mut out = [0.0; 2];
        bound.read_numbers(1, 1, &mut out);
        assert_eq!(out, [20.0, 30.0]);
    }

    #[test]
    fn every_missing_column_is_named_at_once() {
        let values = [1.0];
        let mut batch = Batch::new(1);
        batch.push_numbers("freq", &values).unwrap();
        let error = batch.bind(&schema()).unwrap_err();
        let fields: Vec<&str> = error.violations.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["columns.frequency", "columns.T"]);
        assert!(
            error.to_string().contains("the batch has [freq]"),
            "{error}"
        );
    }

    #[test]
    fn ragged_doubled_and_badly_coded_columns_are_refused() {
        let short = [1.0];
        let fine = [1.0, 2.0];
        let dictionary = ["a".to_owned()];
        let mut batch = Batch::new(2);
        assert!(batch.push_numbers("x", &short).is_err());
        batch.push_numbers("x", &fine).unwrap();
        assert!(batch.push_numbers("x", &fine).is_err());
        let column = || Column::Numbers(ArrayView1::from(&fine));
        assert!(Batch::of_columns(2, vec![("x", column()), ("y", column())]).is_ok());
        for (rows, last) in [(2, "x"), (3, "y")] {
            let columns = vec![("x", column()), (last, column())];
            assert!(Batch::of_columns(rows, columns).is_err());
        }
        let text = TextColumn {
            dictionary: &dictionary,
            codes: &[0, 1],
        };
        let error = batch.push("y", Column::Text(text)).unwrap_err();
        assert!(error.to_string().contains("row 1 has code 1"), "{error}");
    }

    #[test]
    fn a_bad_row_is_told_in_words() {
        let frequency = [2.5];
        let age = [38.0];
        let mut batch = Batch::new(1);
        batch.push_numbers("frequency", &frequency).unwrap();
        batch.push_numbers("T", &age).unwrap();
        let schema = schema();
        let issue = batch
            .bind(&schema)
            .unwrap()
            .describe(0, RowStatus::bad(RowCode::OutOfRange, 0));
        assert_eq!(
            issue.message,
            "row 0: frequency is 2.5: must be a whole number >= 0"
        );
    }

    #[test]
    fn numbers_name_one_level_each() {
        assert_eq!(number_to_level(1.0).as_deref(), Some("1"));
        assert_eq!(number_to_level(-0.0).as_deref(), Some("0"));
        assert_eq!(number_to_level(0.5).as_deref(), Some("0.5"));
        assert_eq!(number_to_level(f64::NAN), None);
    }
}
