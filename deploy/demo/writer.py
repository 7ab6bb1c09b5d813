#!/usr/bin/env python3
"""writer.py: writes numbered rows, one transaction each, and remembers which were acknowledged.

It stands for the user's application in demo, tests and benches. Connection: the libpq environment (PGHOST, PGUSER, ...).
Each second it prints one line of JSON; after SIGTERM a last one with "final": true. A connection that fails is made again
every 20 ms. `writer.py check` compares the table with what was acknowledged.
"""
import json
import os
import signal
import sys
import time

import psycopg2

LOG = os.environ.get("WRITER_LOG", "/tmp/acknowledged")


def connect():
    conn = psycopg2.connect(connect_timeout=1, options="-c statement_timeout=3000",
                            keepalives_idle=1, keepalives_interval=1, keepalives_count=2, tcp_user_timeout=1500)
    conn.autocommit = True
    return conn


def first_number(conn):
    """Makes the table if it is not there; the highest number in it."""
    cur = conn.cursor()
    cur.execute("CREATE TABLE IF NOT EXISTS demo_rows (id bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())")
    cur.execute("SELECT coalesce(max(id), 0) FROM demo_rows")
    return cur.fetchone()[0]


def write():
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    conn, n, acked, failures = None, None, 0, 0
    last, printed, gap, worst = None, time.monotonic(), 0.0, 0.0
    error = ""
    with open(LOG, "w") as log:
        while not stop:
            try:
                if conn is None:
                    conn = connect()
                if n is None:
                    n = first_number(conn)
                n += 1
                conn.cursor().execute("INSERT INTO demo_rows (id) VALUES (%s)", (n,))
                now = time.monotonic()
                if last is not None:
                    gap = max(gap, now - last)
                    worst = max(worst, gap)
                last = now
                acked += 1
                log.write(f"{n}\n")
                log.flush()
            except psycopg2.Error as e:
                failures += 1
                error = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
                try:
                    if conn is not None:
                        conn.close()
                except psycopg2.Error:
                    pass
                conn = None
                time.sleep(0.02)
            if time.monotonic() - printed >= 1:
                printed = time.monotonic()
                if last is not None:
                    gap = max(gap, printed - last)
                print(json.dumps({"acknowledged": acked, "failures": failures, "gap_s": round(gap, 2), "error": error}), flush=True)
                gap, error = 0.0, ""
            time.sleep(0.005)
    print(json.dumps({"final": True, "acknowledged": acked, "failures": failures, "longest_gap_s": round(worst, 2)}), flush=True)


def check():
    with open(LOG) as f:
        acked = {int(line) for line in f if line.endswith("\n")}
    for attempt in range(50):
        try:
            cur = connect().cursor()
            cur.execute("SELECT id FROM demo_rows")
            there = {row[0] for row in cur.fetchall()}
            break
        except psycopg2.Error as e:
            if attempt == 49:
                raise SystemExit(f"can not read: {e}")
            time.sleep(0.2)
    lost = sorted(acked - there)
    print(json.dumps({"acknowledged": len(acked), "there": len(there), "lost": len(lost), "first_lost": lost[:5]}))
    return 1 if lost else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(check())
    write()
