//! Purchases kept by ranges of customers, so that sorting them stays in cache.

use super::fold::Purchase;

/// Customers of one partition: their codes differ only in these low bits.
const MEMBER_BITS: u32 = 14;
const MEMBER_COUNT: usize = 1 << MEMBER_BITS;

/// Accepted purchases, 18 bytes each, appended to the partition of their customer.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    parts: Vec<Part>,
}

#[derive(Debug, Default)]
struct Part {
    members: Vec<u16>,
    seconds: Vec<i64>,
    amounts: Vec<f64>,
}

impl Partitions {
    pub(super) fn push(&mut self, customer: u32, purchase: Purchase) {
        let index = (customer >> MEMBER_BITS) as usize;
        if index >= self.parts.len() {
            self.parts.resize_with(index + 1, Part::default);
        }
        let part = &mut self.parts[index];
        #[allow(clippy::cast_possible_truncation)] // the low bits only
        part.members
            .push(customer as u16 & (MEMBER_COUNT as u16 - 1));
        part.seconds.push(purchase.seconds);
        part.amounts.push(purchase.amount);
    }

    /// Calls `fold` with every customer's purchases, sorted by time and amount (so that no sum
    /// depends on the order of the log), customers in ascending order of code.
    pub(super) fn for_each_customer(self, mut fold: impl FnMut(u32, &mut [Purchase])) {
        let mut scratch = Vec::new();
        for (index, part) in self.parts.into_iter().enumerate() {
            #[allow(clippy::cast_possible_truncation)] // made from a u32 in `push`
            let first = (index as u32) << MEMBER_BITS;
            part.for_each_customer(first, &mut scratch, &mut fold);
        }
    }
}

impl Part {
    fn for_each_customer(
        self,
        first: u32,
        scratch: &mut Vec<Purchase>,
        fold: &mut impl FnMut(u32, &mut [Purchase]),
    ) {
        let ends = self.scatter(scratch);
        let mut start = 0;
        for (customer, end) in (first..).zip(ends) {
            let purchases = &mut scratch[start..end];
            start = end;
            if !purchases.is_empty() {
                purchases.sort_unstable_by(Purchase::by_time_and_amount);
                fold(customer, purchases);
            }
        }
    }

    /// Groups the purchases by customer (a counting sort) and returns where each group ends.
    fn scatter(self, scratch: &mut Vec<Purchase>) -> Vec<usize> {
        let mut next = vec![0_usize; MEMBER_COUNT];
        for &member in &self.members {
            next[usize::from(member)] += 1;
        }
        let mut start = 0;
        for slot in &mut next {
            start += std::mem::replace(slot, start);
        }
        scratch.clear();
        scratch.resize(self.members.len(), Purchase::default());
        for ((&member, &seconds), &amount) in
            self.members.iter().zip(&self.seconds).zip(&self.amounts)
        {
            let slot = &mut next[usize::from(member)];
            scratch[*slot] = Purchase { seconds, amount };
            *slot += 1;
        }
        next
    }
}
