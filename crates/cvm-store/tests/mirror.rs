//! A folder follows a store that works, fails, lies and comes back; what was served stays whole.

use async_trait::async_trait;
use cvm::Model;
use cvm::repository::{Manifest, ManifestVersion, open_all};
use cvm_store::{Location, Mirror, Problems, publish};
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tempfile::TempDir;

/// A store in memory that can be down, and counts what is read.
#[derive(Debug, Default)]
struct Flaky {
    inner: InMemory,
    down: AtomicBool,
    reads: AtomicU64,
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flaky")
    }
}

impl Flaky {
    fn check(&self) -> Result<()> {
        match self.down.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Generic {
                store: "flaky",
                source: "is down".into(),
            }),
        }
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, to: &Path, what: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.check()?;
        self.inner.put_opts(to, what, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        self.check()?;
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get_opts(from, how).await
    }

    fn delete_stream(
        &self,
        what: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(what)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => Box::pin(futures_util::stream::once(async { Err(error) })),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

/// A store with a repository `models`, a folder that mirrors it, and files to publish.
struct House {
    store: Arc<Flaky>,
    home: TempDir,
    mirror: Mirror,
}

impl House {
    fn new() -> House {
        let (store, home) = (Arc::new(Flaky::default()), TempDir::new().unwrap());
        let mirror = House::mirror(&store, &home);
        House {
            store,
            home,
            mirror,
        }
    }

    fn at(store: &Arc<Flaky>, prefix: &str) -> Location {
        let store: Arc<dyn ObjectStore> = Arc::clone(store) as _;
        Location::new(store, Path::from(prefix), "flaky://models")
    }

    fn mirror(store: &Arc<Flaky>, home: &TempDir) -> Mirror {
        Mirror::new(House::at(store, "models"), home.path().join("cache")).unwrap()
    }

    /// Another process on the same folder.
    fn restart(&mut self) {
        self.mirror = House::mirror(&self.store, &self.home);
    }

    fn cache(&self, path: &str) -> PathBuf {
        self.home.path().join("cache").join(path)
    }

    fn file(&self, r: f64) -> PathBuf {
        let params = [("r", r), ("alpha", 4.4136), ("a", 0.7929), ("b", 2.4259)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let path = self.home.path().join(format!("{r}.cvm"));
        let model = cvm::from_params("clv.bg_nbd", &params, None).unwrap();
        model.save(&path).unwrap();
        path
    }

    async fn publish(&self, model: &str, r: f64, version: &str) -> ManifestVersion {
        let to = House::at(&self.store, &format!("models/{model}"));
        publish(&self.file(r), &to, Some(version)).await.unwrap()
    }

    async fn put(&self, path: &str, bytes: &[u8]) {
        let payload = PutPayload::from(bytes.to_vec());
        let path = Path::from(format!("models/{path}"));
        self.store.inner.put(&path, payload).await.unwrap();
    }

    async fn get(&self, path: &str) -> Vec<u8> {
        let path = Path::from(format!("models/{path}"));
        let found = self.store.inner.get(&path).await.unwrap();
        found.bytes().await.unwrap().to_vec()
    }

    async fn delete(&self, path: &str) {
        let path = Path::from(format!("models/{path}"));
        self.store.inner.delete(&path).await.unwrap();
    }

    async fn sync(&mut self) -> Problems {
        let problems = self.mirror.sync().await;
        // Whatever happens, what is in the folder is whole.
        for (path, opened) in open_all(&self.cache("")).unwrap() {
            let told = !problems.is_empty() && !path.exists();
            assert!(opened.is_ok() || told, "{}: {opened:?}", path.display());
        }
        problems
    }

    fn versions(&self, model: &str) -> Vec<String> {
        let manifest = Manifest::read(&self.cache(model)).unwrap();
        let sound = manifest.versions.into_iter().filter(|entry| {
            let bytes = entry.read(&self.cache(model));
            bytes.is_ok_and(|bytes| Model::open(&bytes).is_ok())
        });
        sound.map(|entry| entry.version).collect()
    }

    fn reads(&self) -> u64 {
        self.store.reads.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test]
async fn what_is_published_comes_once_and_nothing_is_read_twice() {
    let mut house = House::new();
    assert!(house.sync().await.is_empty());
    house.publish("retail", 0.2, "1").await;
    house.publish("churn", 0.3, "7").await;
    house.put("notes/readme.txt", b"no model").await;
    house.put("routing.json", b"at the top").await;
    assert_eq!(house.sync().await, Problems::new());
    assert_eq!(
        (house.versions("retail"), house.versions("churn")),
        (vec!["1".to_owned()], vec!["7".to_owned()])
    );
    assert!(!house.cache("notes").exists());
    house.reads();
    assert!(house.sync().await.is_empty());
    assert_eq!(house.reads(), 0, "a second look reads nothing");
    house.publish("retail", 0.25, "2").await;
    house.reads();
    assert!(house.sync().await.is_empty());
    assert_eq!(house.reads(), 2, "the manifest and the new file");
    assert_eq!(house.versions("retail"), ["1", "2"]);
    // After a restart manifests are read anew, files are not.
    house.restart();
    house.reads();
    assert!(house.sync().await.is_empty());
    assert_eq!(house.reads(), 2);
    // A file that was damaged meanwhile is fetched again.
    house.restart();
    std::fs::write(house.cache("retail/2.cvm"), b"damaged").unwrap();
    assert!(house.sync().await.is_empty());
    assert_eq!(house.versions("retail"), ["1", "2"]);
}

#[tokio::test]
async fn a_store_that_is_down_or_wrong_changes_nothing() {
    let mut house = House::new();
    house.publish("retail", 0.2, "1").await;
    assert!(house.sync().await.is_empty());
    house.store.down.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let problems = house.sync().await;
        assert!(problems[""].contains("is down"), "{problems:?}");
    }
    assert_eq!(house.versions("retail"), ["1"]);
    house.store.down.store(false, Ordering::Relaxed);
    let entry = house.publish("retail", 0.3, "2").await;
    let good = house.get("retail/2.cvm").await;
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&good[..good.len() / 2], &flipped, &[]] {
        house.put("retail/2.cvm", bad).await;
        let problems = house.sync().await;
        assert!(problems["retail"].contains("2.cvm"), "{problems:?}");
        assert_eq!(house.versions("retail"), ["1"]);
        assert!(!house.cache("retail").join(&entry.file).exists());
    }
    house.delete("retail/2.cvm").await;
    let problems = house.sync().await;
    assert!(
        problems["retail"].contains("is not in the store"),
        "{problems:?}"
    );
    house.put("retail/2.cvm", &good).await;
    assert!(house.sync().await.is_empty());
    assert_eq!(house.versions("retail"), ["1", "2"]);
    let manifest = house.get("retail/manifest.json").await;
    house.put("retail/manifest.json", b"{").await;
    house.put("lone.cvm", &good).await;
    let problems = house.sync().await;
    assert!(problems["retail"].contains("manifest.json"), "{problems:?}");
    assert!(problems["lone"].contains("cvm publish"), "{problems:?}");
    assert_eq!(house.versions("retail"), ["1", "2"]);
    house.delete("lone.cvm").await;
    house.put("retail/manifest.json", &manifest).await;
    assert!(house.sync().await.is_empty());
}

#[tokio::test]
async fn what_the_store_loses_the_folder_loses_but_not_at_the_first_look() {
    let mut house = House::new();
    house.publish("retail", 0.2, "1").await;
    house.publish("retail", 0.3, "2").await;
    house.publish("churn", 0.4, "1").await;
    house.put("retail/1.cvm.sig", b"a signature").await;
    house.put("retail/routing.json", b"{}").await;
    assert!(house.sync().await.is_empty());
    assert!(house.cache("retail/1.cvm.sig").is_file());
    let mut manifest =
        Manifest::parse(&String::from_utf8(house.get("retail/manifest.json").await).unwrap())
            .unwrap();
    manifest.versions.remove(0);
    house
        .put(
            "retail/manifest.json",
            manifest.to_text().unwrap().as_bytes(),
        )
        .await;
    house.delete("retail/routing.json").await;
    assert!(house.sync().await.is_empty());
    assert_eq!(house.versions("retail"), ["2"]);
    for gone in ["1.cvm", "1.cvm.sig", "routing.json"] {
        assert!(!house.cache("retail").join(gone).exists(), "{gone}");
    }
    let whole = house.get("retail/manifest.json").await;
    house.delete("retail/manifest.json").await;
    assert!(house.sync().await.is_empty());
    assert_eq!(
        house.versions("retail"),
        ["2"],
        "one look may be between two writes"
    );
    house.put("retail/manifest.json", &whole).await;
    assert!(house.sync().await.is_empty());
    house.delete("retail/manifest.json").await;
    for _ in 0..2 {
        assert!(house.sync().await.is_empty());
    }
    assert!(!house.cache("retail").exists());
    // The last one goes only by a manifest that names nothing: a store that is away looks empty too.
    house.delete("churn/manifest.json").await;
    for _ in 0..3 {
        let problems = house.sync().await;
        assert!(problems[""].contains("lists no model"), "{problems:?}");
    }
    assert_eq!(house.versions("churn"), ["1"]);
}

#[tokio::test]
async fn routing_goes_up_unless_somebody_else_has_changed_it() {
    let mut house = House::new();
    house.publish("retail", 0.2, "1").await;
    assert!(house.sync().await.is_empty());
    let routing = |version: &str| format!("{{\"aliases\": {{\"champion\": \"{version}\"}}}}");
    let local = house.cache("retail/routing.json");
    for version in ["1", "2"] {
        let text = routing(version);
        house
            .mirror
            .push_routing("retail", text.as_bytes())
            .await
            .unwrap();
        assert_eq!(std::fs::read(&local).unwrap(), text.as_bytes());
        assert_eq!(
            house.get("retail/routing.json").await,
            routing(version).as_bytes()
        );
        house.reads();
        assert!(house.sync().await.is_empty());
        assert_eq!(house.reads(), 0, "its own change is known");
    }
    house
        .put("retail/routing.json", routing("3").as_bytes())
        .await;
    let text = routing("4");
    let pushed = house.mirror.push_routing("retail", text.as_bytes()).await;
    let error = pushed.unwrap_err();
    assert!(error.message.contains("somebody else"), "{error}");
    assert!(house.sync().await.is_empty());
    assert_eq!(std::fs::read(&local).unwrap(), routing("3").as_bytes());
}

#[tokio::test]
async fn who_publishes_at_the_same_time_loses_no_version() {
    let house = House::new();
    let publishing = (0..4).map(|n| {
        let (to, file) = (
            House::at(&house.store, "models/retail"),
            house.file(0.2 + f64::from(n)),
        );
        async move { publish(&file, &to, Some(&n.to_string())).await }
    });
    for published in futures_util::future::join_all(publishing).await {
        published.unwrap();
    }
    let manifest =
        Manifest::parse(&String::from_utf8(house.get("retail/manifest.json").await).unwrap())
            .unwrap();
    let mut versions: Vec<_> = manifest
        .versions
        .into_iter()
        .map(|entry| entry.version)
        .collect();
    versions.sort();
    assert_eq!(versions, ["0", "1", "2", "3"]);
    let to = House::at(&house.store, "models/retail");
    let error = publish(&house.file(0.9), &to, Some("1")).await.unwrap_err();
    assert!(error.message.contains("other bytes"), "{error}");
}

#[tokio::test]
async fn a_folder_by_its_url_is_a_store_too() {
    let (house, shared) = (House::new(), TempDir::new().unwrap());
    let url = format!("file://{}/models", shared.path().display());
    let to = Location::parse(&format!("{url}/retail"), []).unwrap();
    publish(&house.file(0.2), &to, Some("1")).await.unwrap();
    publish(&house.file(0.3), &to, Some("2")).await.unwrap();
    let from = Location::parse(&url, []).unwrap();
    let mut mirror = Mirror::new(from, house.cache("")).unwrap();
    assert_eq!(mirror.sync().await, Problems::new());
    assert_eq!(house.versions("retail"), ["1", "2"]);
    for wrong in ["models", "ftp://x/y", "s3://user:secret@bucket/x"] {
        assert!(Location::parse(wrong, []).is_err(), "{wrong}");
    }
}
