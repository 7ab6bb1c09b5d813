/*
 * Runs a function in a child, for what must end a process: die(), no memory, a forbidden system
 * call. The child never CHECKs; what it found is its exit code or the signal that killed it.
 */
#ifndef TESTS_UNIT_FORKED_H
#define TESTS_UNIT_FORKED_H

#include <errno.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* The wait status of a child that ran f(arg) and then left with what f returned; -1: no child. */
static inline int
forked_status(int (*f)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(f(arg));
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* The exit code; -1 when a signal ended it. */
static inline int
forked(int (*f)(void *), void *arg)
{
	int status = forked_status(f, arg);

	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A child's exit code for what a system call returned, where a sandbox may refuse that. */
#define REFUSED 10 /* EACCES or EPERM */
#define FAILED 11  /* any other error */
static inline int
result(long r)
{
	if (r != -1)
		return 0;
	return errno == EACCES || errno == EPERM ? REFUSED : FAILED;
}

#endif
