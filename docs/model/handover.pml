/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hand-over of a guest from one host to another, with crashes: a model of
 * src/engine/handover for Spin.
 *
 * Two processes, source and target, work through states.h and write journals.
 * At any moment, CRASHES times at most, one of these happens: the source's or
 * the target's process is killed, one of the two hosts ends and its guests with
 * it, the connection is cut and what was on its way is lost.  After the release
 * each side may also stop waiting for the other at any moment: that is no crash.
 * When nobody works any more, 'xenferry resolve' runs at the source, and again if
 * it was killed.
 *
 * I1  At most one copy ever runs; once the target's has run the source's never
 *     does again, and once the source's went on the target's never runs.
 * I2  With one crash: at every moment one side has a complete copy, unless the
 *     host that had the only one has ended.
 * I3  After one crash, when resolve has run, exactly one copy runs - or none,
 *     when the crash took the guest's only copy or the host that ran it - and
 *     no incomplete one is left.
 *
 *   spin -a -DCRASHES=1 handover.pml && cc -O2 -o pan pan.c && ./pan
 *
 * With BROKEN the source resumes its guest when it loses the connection after
 * the release: Spin has to find that.
 */
#ifndef CRASHES
#define CRASHES 1
#endif

mtype = { RUNS, SUSPENDED, PARTIAL, WHOLE, ABSENT };          /* a domain */
mtype = { NONE, PRECOPY, STOPPED, SENT, RELEASED, GONE, DONE, /* journals */
          KEPT, BACK, RECEIVING, READY, RUNNING, DROPPED };
mtype = { m_image, m_ready, m_release, m_running, m_failed, m_kept,
          m_dropped, m_forget };

mtype s_dom = RUNS;
mtype t_dom = ABSENT;
mtype s_state = NONE;
mtype t_state = NONE;
bool t_ran = false;        /* the target's copy has run */
bool s_back = false;       /* the source's has run after it was stopped */
bool s_works = true;       /* the source's process lives and is at work */
bool t_works = true;
bool connected = true;
byte crashes = CRASHES;
bool may_be_lost = false;  /* a crash took what nobody else had */
bool resolved = false;
bool r_works = false;
bool r_locked = false;     /* the journals' locks: one at a time */

chan to_target = [4] of { mtype };
chan to_source = [4] of { mtype };

#define complete_there (t_dom == WHOLE || t_dom == RUNS)

inline check()
{
    assert(!(s_dom == RUNS && t_dom == RUNS));
    assert(!(s_dom == RUNS && t_ran));
    assert(!(t_dom == RUNS && s_back));
#if CRASHES == 1
    assert(s_dom != ABSENT || complete_there || may_be_lost)
#endif
}

inline cut()
{
    connected = false;
    do
    :: to_target?_
    :: to_source?_
    :: empty(to_target) && empty(to_source) -> break
    od
}

/*
 * One side closes its end: what it has sent arrives yet, what was on its way to
 * it does not.
 */
inline hang_up(c)
{
    connected = false;
    do
    :: c?_
    :: empty(c) -> break
    od
}

/* Asked by one side; the other notices a cut connection when it next talks. */
#define send_to(c, m) \
    if :: connected -> c!m :: !connected fi

/*
 * The source lets its guest go on, if its host still has it; what was decided
 * is undone if the host ends before that.
 */
inline take_back()
{
    before = s_state;
    if
    :: s_dom == ABSENT
    :: s_dom != ABSENT ->
       s_state = KEPT;
       if
       :: atomic { s_dom == SUSPENDED -> s_dom = RUNS; s_back = true; check() };
          s_state = BACK
       :: s_dom == RUNS -> s_state = BACK
       :: s_dom == ABSENT -> s_state = before
       fi
    fi
}

inline discard()
{
    s_state = GONE;
    if
    :: atomic { s_dom == SUSPENDED -> s_dom = ABSENT; check() }
    :: s_dom != SUSPENDED
    fi;
    s_state = DONE
}

proctype Source()
{
    mtype before;

    {
        s_state = PRECOPY;
        s_state = STOPPED;
        if
        :: atomic { s_dom == RUNS -> s_dom = SUSPENDED }
        :: s_dom == ABSENT -> goto back_out
        fi;
        send_to(to_target, m_image);
        s_state = SENT;
        if
        :: to_source?m_ready
        :: to_source?m_failed -> goto back_out
        :: !connected -> goto back_out
        /* A person cancels. */
        :: goto back_out
        fi;
        s_state = RELEASED;
        send_to(to_target, m_release);
        if
        :: to_source?m_running -> discard(); send_to(to_target, m_forget)
        :: to_source?m_failed -> take_back()
        /* The time limit, or a person who asked a second time. */
        :: goto over
#ifdef BROKEN
        :: !connected -> take_back()
#else
        :: !connected
#endif
        fi;
        goto over;
back_out:
        take_back();
        if :: s_state != BACK -> goto over :: else fi;
        send_to(to_target, m_kept);
        if
        :: to_source?m_dropped
        :: to_source?m_ready
        :: to_source?m_failed
        :: !connected
        fi;
over:
        atomic { hang_up(to_source); s_works = false }
    } unless { !s_works }
}

/* Drop a copy that does not run. */
inline drop_copy()
{
    t_state = DROPPED;
    atomic { if :: t_dom != RUNS -> t_dom = ABSENT :: else fi; check() }
}

proctype Target()
{
    {
        t_state = RECEIVING;
        atomic { t_dom = PARTIAL };
        if
        :: to_target?m_image
        :: to_target?m_kept -> goto give_up
        :: !connected -> goto give_up
        fi;
        if
        :: atomic { t_dom == PARTIAL -> t_dom = WHOLE }
        :: t_dom == ABSENT -> send_to(to_source, m_failed); goto give_up
        fi;
        t_state = READY;
        send_to(to_source, m_ready);
        if
        :: to_target?m_release
        :: to_target?m_kept -> drop_copy(); send_to(to_source, m_dropped);
           goto over
        :: !connected -> goto over
        /* As at the source. */
        :: goto over
        fi;
        t_state = RUNNING;
        if
        :: atomic { t_dom == WHOLE -> t_dom = RUNS; t_ran = true; check() };
           send_to(to_source, m_running);
           if
           :: to_target?m_forget -> t_state = NONE
           :: !connected
           :: skip
           fi
        :: atomic { t_dom == ABSENT } -> drop_copy();
           send_to(to_source, m_failed)
        fi;
        goto over;
give_up:
        drop_copy();
over:
        atomic { hang_up(to_target); t_works = false }
    } unless { !t_works }
}

/* 'xenferry resolve' at the source, and 'receive' answering it. */
inline ask()
{
    if
    :: t_state == RECEIVING -> drop_copy()
    :: t_state == DROPPED && t_dom != RUNS -> drop_copy()
    :: atomic { t_state == READY && t_dom == ABSENT } -> drop_copy()
    :: else
    fi
}

inline release_there()
{
    s_state = RELEASED;
    if
    :: t_state == READY -> t_state = RUNNING;
       if
       :: atomic { t_dom == WHOLE -> t_dom = RUNS; t_ran = true; check() };
          discard()
       :: atomic { t_dom == ABSENT } -> drop_copy(); take_back()
       fi
    :: else ->
       if
       :: atomic { t_dom == WHOLE -> t_dom = RUNS; t_ran = true; check() }
       :: t_dom != WHOLE
       fi;
       discard()
    fi
}

inline resolve()
{
    if
    :: (s_state == PRECOPY || s_state == STOPPED || s_state == SENT) ->
       if
       :: s_dom != ABSENT -> take_back();
          if
          :: s_state == BACK -> ask();
             if :: t_state == READY -> drop_copy() :: else fi
          :: else -> goto again
          fi
       :: s_dom == ABSENT -> ask();
          if
          :: t_state == READY && t_dom == WHOLE -> release_there()
          :: else -> s_state = BACK
          fi
       fi
    :: s_state == KEPT ->
       if
       :: s_dom != ABSENT -> take_back();
          if :: s_state != BACK -> goto again :: else fi
       :: s_dom == ABSENT -> s_state = BACK
       fi;
       ask();
       if :: t_state == READY -> drop_copy() :: else fi
    :: s_state == BACK -> ask();
       if :: t_state == READY -> drop_copy() :: else fi
    :: s_state == RELEASED -> ask();
       if
       :: t_state == READY || (t_state == RUNNING && t_dom != ABSENT) ->
          release_there()
       :: t_state == RUNNING && t_dom == ABSENT -> discard()
       :: t_state == DROPPED ->
          if :: s_dom != ABSENT -> take_back() :: else -> s_state = BACK fi
       fi
    :: s_state == GONE -> discard()
    :: s_state == DONE
    :: s_state == NONE -> ask()
    fi
}

proctype Resolver()
{
    mtype before;

    {
        skip;
again:
        resolve(); resolved = true; r_works = false
    } unless { !r_works };
    r_locked = false
}

/* What may go wrong, at any moment. */
active proctype Nature()
{
    do
    :: atomic { crashes > 0 && s_works ->
           crashes--; s_works = false; cut() }
    :: atomic { crashes > 0 && t_works ->
           crashes--; t_works = false; cut() }
    :: atomic { crashes > 0 && connected -> crashes--; cut() }
    :: atomic { crashes > 0 && s_dom != ABSENT && !resolved ->
           crashes--;
           if
           :: !complete_there || s_dom == RUNS -> may_be_lost = true
           :: else
           fi;
           s_dom = ABSENT }
    :: atomic { crashes > 0 && t_dom != ABSENT && !resolved ->
           crashes--;
           if
           :: s_dom == ABSENT || t_ran -> may_be_lost = true
           :: else
           fi;
           t_dom = ABSENT }
    :: atomic { crashes > 0 && r_works -> crashes--; r_works = false }
    :: resolved -> break
    od
}

init
{
    atomic { run Source(); run Target() };
    (!s_works && !t_works);
    do
    :: atomic { !resolved && !r_works && !r_locked ->
           r_works = true; r_locked = true; run Resolver() };
       (resolved || !r_works)
    :: resolved -> break
    od;
#if CRASHES == 1
    /* I3 */
    if
    :: !may_be_lost -> assert((s_dom == RUNS) + (t_dom == RUNS) == 1)
    :: else
    fi;
    assert(t_dom != PARTIAL);
    assert(s_dom != SUSPENDED || may_be_lost)
#endif
}
