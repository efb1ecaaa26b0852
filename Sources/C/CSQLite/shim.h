#pragma once
#include <sqlite3.h>
#include <string.h>

// Swift cannot call C variadics, nor see the SQLITE_TRANSIENT cast.

// Memory statistics, which nobody reads, cost every allocation a lock. Before the first connection, or SQLITE_MISUSE.
static inline int csqlite_configure(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

static inline int csqlite_harden(sqlite3 *db) {
  int status = sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)0);
  if (status != SQLITE_OK) return status;
  return sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)0);
}

static inline int csqlite_no_checkpoint_on_close(sqlite3 *db) {
  return sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}

// The bytes stay the caller's, unchanged until the statement is reset.
static inline int csqlite_bind_lent(sqlite3_stmt *statement, int index, const void *data, int n, int is_text) {
  if (is_text) return sqlite3_bind_text(statement, index, (const char *)data, n, SQLITE_STATIC);
  return sqlite3_bind_blob(statement, index, data, n, SQLITE_STATIC);
}

static inline int csqlite_bind_copied(sqlite3_stmt *statement, int index, const void *data, int n, int is_text) {
  if (is_text) return sqlite3_bind_text(statement, index, (const char *)data, n, SQLITE_TRANSIENT);
  return sqlite3_bind_blob(statement, index, data, n, SQLITE_TRANSIENT);
}

static inline int csqlite_note_log_pages(void *pages, sqlite3 *db, const char *name, int count) {
  (void)db;
  (void)name;
  *(int *)pages = count;
  return SQLITE_OK;
}

// Has each commit say how many pages the write-ahead log has; `pages` must live until the connection is closed.
static inline void csqlite_count_log_pages(sqlite3 *db, int *pages) {
  sqlite3_wal_hook(db, csqlite_note_log_pages, pages);
}

// The FTS5 API of a connection (SQLite documentation, "fts5.html", section 7).
static inline fts5_api *csqlite_fts5(sqlite3 *db) {
  fts5_api *api = 0;
  sqlite3_stmt *statement = 0;
  if (sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, 0) == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", 0);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  return api;
}
