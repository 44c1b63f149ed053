//! `ListSources`: the sources, and of each file how it is watched and what is wrong with it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tonic::Status;

use super::status;
use crate::{
    entry::Nanos,
    feed::open::Selection,
    proto::v1,
    watch::{Catalogue, LogFile, Role, log::Source},
};

/// Files on one page, unless the request says otherwise.
const PAGE_FILES_DEFAULT: u32 = 1000;
/// Files on one page at most.
const PAGE_FILES_MAX: u32 = 10_000;

/// What pages are ordered by.
type Key = (String, PathBuf);

/// Answers the request, with the sources that the caller may read.
///
/// # Errors
/// NOT_FOUND when an element of `sources` matches none, INVALID_ARGUMENT for what is no glob or no page's token.
pub fn list(
    catalogue: &Catalogue,
    request: &v1::ListSourcesRequest,
    allowed: Option<&[String]>,
) -> Result<v1::ListSourcesResponse, Status> {
    let selection = Selection::new(&request.sources, &[], allowed).map_err(|error| status::of_selection(&error))?;
    let configured = catalogue.sources();
    let names = configured.iter().map(|source| source.name.as_str());
    if let Some(index) = selection.first_unmatched(names) {
        let error = crate::feed::open::OpenError::NoSuchSource(index);
        return Err(status::of_open(&error, &request.sources));
    }
    let after = after_token(&request.page_token)?;
    let size = match request.page_size {
        0 => PAGE_FILES_DEFAULT,
        size => size.min(PAGE_FILES_MAX),
    };
    let mut files = all_files(catalogue, &selection);
    if let Some(after) = &after {
        files = files.split_off(after);
        files.remove(after);
    }
    let next = files.keys().nth(size as usize).cloned();
    if let Some(next) = &next {
        files.split_off(next);
    }
    let last = files.keys().next_back().cloned();
    let first_page = after.is_none();
    let mut sources: BTreeMap<String, v1::Source> = BTreeMap::new();
    // Sources without files are told once, on the first page.
    for source in configured.iter().filter(|source| first_page && selection.selects_source(&source.name)) {
        sources.insert(source.name.clone(), empty_source(source));
    }
    for ((name, _), file) in files {
        let source = configured.iter().find(|source| source.name == name);
        let Some(source) = source else { continue };
        sources.entry(name).or_insert_with(|| empty_source(source)).files.push(file);
    }
    let next_page_token = match (next, last) {
        (Some(_), Some((source, path))) => format!("{source}\n{}", path.display()),
        _ => String::new(),
    };
    Ok(v1::ListSourcesResponse { sources: sources.into_values().collect(), next_page_token })
}

fn after_token(token: &str) -> Result<Option<Key>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    match token.split_once('\n') {
        Some((source, path)) => Ok(Some((source.to_owned(), path.into()))),
        None => Err(status::invalid("page_token", "not the token of a page")),
    }
}

fn empty_source(source: &Arc<Source>) -> v1::Source {
    let paths = source.settings().patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
    v1::Source { name: source.name.clone(), paths, files: Vec::new() }
}

fn all_files(catalogue: &Catalogue, selection: &Selection) -> BTreeMap<Key, v1::File> {
    let mut files = BTreeMap::new();
    for file in catalogue.files().iter().filter(|file| selection.selects_source(&file.log.source.name)) {
        // What is deleted is there as long as its descriptor is open.
        if file.role() == Role::Gone && file.opened().is_none() {
            continue;
        }
        files.insert((file.log.source.name.clone(), file.path()), describe(file));
    }
    for (path, trouble) in catalogue.troubles().into_iter().filter(|(_, it)| selection.selects_source(&it.source)) {
        let text = path.display().to_string();
        let file = v1::File { path: text.clone(), log: text, reason: trouble.why, ..v1::File::default() };
        files.insert((trouble.source, path), file);
    }
    files
}

fn describe(file: &LogFile) -> v1::File {
    let path = file.path();
    // What was published may be old news: nothing is read for a file that nobody waits on.
    let stat = crate::file::Stat::of_path(&path).ok().filter(|stat| stat.identity == file.identity);
    let published = file.published();
    let (size, modified) = stat.map_or((published.size, published.mtime), |stat| (stat.size, stat.mtime));
    let (blind, trouble) = (file.blind(), file.trouble());
    let (format, parsed_ppm) = file.format();
    let mode = if blind.is_some() { v1::WatchMode::Polling } else { v1::WatchMode::Events };
    v1::File {
        path: path.display().to_string(),
        log: file.log.path.display().to_string(),
        size_bytes: size.0,
        modify_time: Some(timestamp(modified)),
        watch_mode: mode.into(),
        reason: trouble.clone().or(blind).unwrap_or_default(),
        format: format.unwrap_or_default().to_owned(),
        archive: file.is_archive() || file.role() == Role::Rotated,
        parsed_ppm,
        deleted: file.role() == Role::Gone,
        last_error: trouble.unwrap_or_default(),
    }
}

fn timestamp(time: Nanos) -> prost_types::Timestamp {
    let (seconds, nanos) = (time.0.div_euclid(1_000_000_000), time.0.rem_euclid(1_000_000_000));
    prost_types::Timestamp { seconds, nanos: nanos as i32 }
}
