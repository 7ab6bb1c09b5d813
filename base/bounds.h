/*
 * Every limit of the programs, with its reason. A limit that what a user or the API sent can reach
 * gives ERR_LIMIT; one that only our own code can reach is a die().
 */
#ifndef BASE_BOUNDS_H
#define BASE_BOUNDS_H

#define ERR_TEXT_MAX 200 /* fits a condition's message beside its prefix */

/* Names. CEL keeps a BGCluster's name <= 45, so that every derived name is a label (<= 63). */
#define NAME_MAX_CLUSTER 45
#define NAME_MAX_LABEL 63
#define NAME_MAX_OBJECT 253

/* Numbers of things. */
#define INSTANCES_MAX 32   /* Patroni clusters beyond this have no use; ordinals fit a bit mask */
#define NAMESPACES_MAX 64  /* 9 watches each: sandbox/profiles.c has the memory */
#define CLUSTERS_MAX 16384 /* reconciler's table; 2.5 KB each fit its RLIMIT_AS */
#define STEPS_IN_FLIGHT 16 /* reconciler -> executor credits */
/* One step: the decoded BGCluster (etcd refuses > 1.5 MiB), tokens of replies; 16 fit RLIMIT_AS. */
#define STEP_ARENA_MAX (3u << 20)
#define LAST_GOOD_MAX 65536 /* a pod template that is kept; the API server takes 256 KiB in all */

/* JSON. etcd refuses objects over 1.5 MiB; twice that leaves room for managedFields. */
#define JSON_DEPTH_MAX 64
#define JSON_TOKENS_MAX 8192
#define JSON_OBJECT_MAX (3u << 20)

/* HTTP. */
#define HTTP_HEADER_MAX 8192	 /* one header line; kube-apiserver sends < 1 KB */
#define HTTP_PATH_MAX 1024	 /* namespaces/63 + name/253 + query */
#define HTTP_BODY_MAX (1u << 20) /* what we send: a StatefulSet is < 64 KB, its affinity a user's */
#define HTTP_REPLY_MAX JSON_OBJECT_MAX
#define HTTP_TIMEOUT_MS 30000	 /* a request that is not a watch */
#define LIST_PAGE 200		 /* items a page: bounded memory, few round trips */
#define WATCH_TIMEOUT_S 290	 /* <= 300: an open watch outlives a revoked token */
#define WATCH_IDLE_MS 90000	 /* bookmarks come about every 60 s */
/* All header lines of a reply, interim replies and trailers included. */
#define HTTP_HEADERS_MAX (8 * HTTP_HEADER_MAX)
#define HTTP_CONNECT_MS 10000	 /* dial and TLS: a healthy API server takes < 100 ms */
/* An idle connection's age: kube-apiserver closes at 90 s, and a race costs an unknown outcome. */
#define HTTP_KEEP_S 60
#define HTTP_BUFFER 8192	 /* curl's, for each of 9 watches a namespace */
/* Requests waiting or in flight: STEPS_IN_FLIGHT needs < 16, the sweep a few. */
#define HTTP_QUEUE_MAX 256
#define HTTP_RETRY_AFTER_MAX_MS 60000 /* a server that asks for more is asked again after this */
#define UNAUTHORIZED_MS 10000	 /* between two complaints about one token */
/*
 * A second and process: making a cluster takes 60 in all, so a thousand take five minutes. The API
 * server gives each client its share (API Priority and Fairness); one in trouble says so (429).
 */
#define REQUEST_RATE 200
#define REQUEST_BURST 400	 /* six clusters at once do not wait */
#define WATCH_BACKOFF_MS 100	 /* first, doubled up to the next line */
#define WATCH_BACKOFF_MAX_MS 10000
#define WATCH_SETTLED_MS 5000	 /* a stream that lived so long was sound: connect again at once */
/* A stream that stands so long after failures shows the server well, and others follow within. */
#define WATCH_WAKE_MS 1000
#define WATCH_PENDING_MAX 32768	 /* bytes read and not yet fed, a watch; then TCP pushes back */
#define WATCH_TROUBLE_MS 30000	 /* between two reports of one watch */

/* IPC. */
#define IPC_MSG_MAX 65536  /* one packet; the default SO_SNDBUF holds four */
#define IPC_TEXT_MAX 200   /* a text for people, as an err has it and the CRDs bound theirs */
#define IPC_VALUE_MAX 8192 /* one parameter's value or one pg_hba line */
#define IPC_SQL_MAX 32768  /* one postInitSQL statement */

/*
 * A user's object: the CRDs' own limits (crds/), since an API server may still have older ones.
 * They are beyond what is of use and bound what a process keeps of one object.
 */
#define PARAMS_MAX 400	   /* PostgreSQL 17 has 380 settings */
#define HBA_LINES_MAX 256
#define SQL_STATEMENTS_MAX 64
#define ENV_RAW_MAX 65536  /* env, affinity, ... as one JSON value */
#define LABELS_MAX 64
#define WINDOWS_MAX 16
/*
 * Tasks of a pod at a time. Each holds its script, and its programs' output and connections, of
 * which PostgreSQL keeps a few for superusers.
 */
#define TASKS_MAX 3
#define TASK_DATABASES_MAX 32
#define TASK_TABLES_MAX 64	 /* a task keeps a bit for each in 64 */
#define TASK_ATTEMPTS_MAX 1000	 /* then from 1 on again: neighbours must differ, no more */
#define TASK_TIMEOUT_MAX_S 604800 /* a week */
#define TASK_CLEANUP_S 300	   /* one that removes what another left */
#define TASK_STEP_MAX 100	 /* "VACUUM shop public.orders, 2 of 5" */
#define TASK_OUTPUT_MAX 1024	 /* the last lines of stderr */
#define TASK_SCRIPT_MAX (1u << 20) /* what a ConfigMap can hold */
#define CRON_TEXT_MAX 100
/*
 * BGDbOps that are not over, of all clusters: 0.5 KB each. Half of the room is the namespaces', in
 * equal shares, the rest is for whoever comes first. What there was no room for is listed anew when
 * there is, after so long, and the longer the more they are: a list of many has its price. Records
 * are counted, not objects: who changes one again and again shall not keep all others waiting, so
 * the pause has an end.
 */
#define DBOPS_MAX 4096
#define RELIST_MS 30000
#define RELIST_EACH_MS 5
#define RELIST_MAX_MS 90000
#define RELIST_MIN_MS 10000 /* the watcher's own limit: sooner is a breach */
#define ZONE_NAME_MAX 40 /* of a time zone; the longest of IANA's has 32 */

/* Tokens and CA bundle as the API server and kubelet hand them out. */
#define TOKEN_MAX 16384
#define CA_MAX (256u << 10) /* a cluster CA bundle during rotation holds a few certificates */
#define TOKEN_SECONDS 3600  /* kube-apiserver's minimum is 600 */

/* Supervision, of the operator's workers and of a pod's. */
#define READY_MS 10000	    /* from a start to READY; who takes longer is killed */
#define PING_MS 2000	    /* between two PINGs */
#define PINGS_LOST 3	    /* in a row without a PONG: it hangs, and is killed */
#define BACKOFF_FIRST_MS 10 /* after an unproductive life, then twice that each time */
#define BACKOFF_MAX_MS 5000
/* More unproductive deaths than this within the window, or in a row: users are told. */
#define DEATHS_WINDOW_MS 60000
#define DEATHS_DEGRADED 20
/* Of workers on one object: then it is left alone, quarantined. */
#define POISON_CRASHES 3
/*
 * An accused worker comes back as it was made, so one that is accused again and again is mostly
 * innocent: then its accuser ends as well.
 */
#define ACCUSATIONS_MAX 3
#define ACCUSATIONS_WINDOW_MS 60000
/* Rows a worker remembers; the oldest goes: one more crash brings it back. */
#define QUARANTINE_MAX 64
#define STOP_MS 5000 /* requests in flight may end after SIGTERM */

#endif
