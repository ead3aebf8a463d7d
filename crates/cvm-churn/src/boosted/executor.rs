//! Who does the parallel work of a fit: the caller, since this crate starts no thread.

/// Runs independent pieces of work.
pub trait Executor: Sync {
    /// Calls `work(index, item)` once for every item, in any order, on any number of threads.
    /// `cost_ns` is the expected time of all calls together on one thread.
    fn for_each<T: Send>(
        &self,
        items: &mut [T],
        cost_ns: f64,
        work: &(dyn Fn(usize, &mut T) + Sync),
    );
}

/// Runs everything in turn.
#[derive(Debug, Clone, Copy)]
pub struct Serial;

impl Executor for Serial {
    fn for_each<T: Send>(
        &self,
        items: &mut [T],
        _cost_ns: f64,
        work: &(dyn Fn(usize, &mut T) + Sync),
    ) {
        for (index, item) in items.iter_mut().enumerate() {
            work(index, item);
        }
    }
}
