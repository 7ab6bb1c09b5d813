/*
 * Functions that have no place here: a use is a compile error. Include system headers
 * first.
 */
#ifndef BASE_POISON_H
#define BASE_POISON_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef alloca
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets system alloca
#endif
