/*
 * Errors and death. An expected failure is a struct err and -1; a broken invariant is die(), which
 * leaves by _exit: abort() and raise() do nothing in PID 1, and no atexit handler may run then.
 */
#include "base/base.h"

#include <unistd.h>

int
err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX * 2];
	va_list ap;
	int n;

	if (e == NULL)
		return -1;
	/* Formatted aside: callers prefix an error with more words, from e->text into e->text. */
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	e->code = code;
	str_copy_text(e->text, sizeof(e->text), str_of(n < 0 ? "" : text));
	return -1;
}

const char *
err_code_name(enum err_code code)
{
	static const char *const names[] = {
	    [ERR_NONE] = "none",
	    [ERR_RETRY] = "retry",
	    [ERR_CONFLICT] = "conflict",
	    [ERR_GONE] = "gone",
	    [ERR_INVALID] = "invalid",
	    [ERR_DENIED] = "denied",
	    [ERR_LIMIT] = "limit",
	};

	if ((size_t)code >= sizeof(names) / sizeof(names[0]))
		return "unknown";
	return names[code];
}

_Noreturn void
die(const char *fmt, ...)
{
	char text[ERR_TEXT_MAX * 2];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(LOG_ERROR, "die", NULL, "%s", n < 0 ? fmt : text);
#ifdef FUZZING
	abort(); /* libFuzzer keeps the input of a crash, but not of an _exit */
#endif
	_exit(EXIT_BUG);
}
