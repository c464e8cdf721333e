#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>
/* read fault: EIO on files whose path contains $FI_PATH, past $FI_AFTER bytes, once $FI_SKIP such reads went well;
   counted anew when $FI_ROUND changes; $FI_TIMES limits how often, for a fault that passes; $FI_COUNT is a file that gets a byte for each such read */
static void told(void){ const char*f=getenv("FI_COUNT"); int h=f?open(f,O_WRONLY|O_APPEND|O_CREAT,0600):-1; if(h>=0){ if(write(h,".",1)<0) abort(); close(h);} }
static int once_more(void){ static int seen,done,round; const char*s=getenv("FI_SKIP"),*t=getenv("FI_TIMES"),*n=getenv("FI_ROUND"); if(n&&atoi(n)!=round){ round=atoi(n); seen=done=0; } told(); if(s&&__sync_fetch_and_add(&seen,1)<atoi(s)) return 0; return !t||__sync_fetch_and_add(&done,1)<atoi(t); }
static int match(int fd){ const char*p=getenv("FI_PATH"); if(!p) return 0; char l[64],b[4096]; snprintf(l,64,"/proc/self/fd/%d",fd); ssize_t n=readlink(l,b,4095); if(n<0) return 0; b[n]=0; return strstr(b,p)!=NULL; }
static long long after(void){ const char*a=getenv("FI_AFTER"); return a?atoll(a):0; }
ssize_t read(int fd,void*b,size_t n){ static ssize_t(*r)(int,void*,size_t); if(!r) r=dlsym(RTLD_NEXT,"read"); if(match(fd)&&lseek(fd,0,SEEK_CUR)+(off_t)n>after()&&once_more()){ errno=EIO; return -1;} return r(fd,b,n);}
ssize_t pread64(int fd,void*b,size_t n,off64_t o){ static ssize_t(*r)(int,void*,size_t,off64_t); if(!r) r=dlsym(RTLD_NEXT,"pread64"); if(match(fd)&&o+(off64_t)n>after()&&once_more()){ errno=EIO; return -1;} return r(fd,b,n,o);}
ssize_t pread(int fd,void*b,size_t n,off_t o){ return pread64(fd,b,n,o);}
size_t fread(void*b,size_t s,size_t n,FILE*f){ static size_t(*r)(void*,size_t,size_t,FILE*); if(!r) r=dlsym(RTLD_NEXT,"fread"); if(match(fileno(f))&&ftello(f)+(off_t)(s*n)>after()&&once_more()){ errno=EIO; return 0;} return r(b,s,n,f);}
/* clock: add $FI_CLOCK seconds once $FI_CLOCK_FILE exists */
int clock_gettime(clockid_t c,struct timespec*t){ static int(*r)(clockid_t,struct timespec*); if(!r) r=dlsym(RTLD_NEXT,"clock_gettime"); int k=r(c,t); const char*f=getenv("FI_CLOCK_FILE"),*o=getenv("FI_CLOCK"); if(c==CLOCK_REALTIME&&o&&(!f||access(f,F_OK)==0)) t->tv_sec+=atoll(o); return k;}
