"""Parents and children with foreign keys at the target: written in an order that holds."""
from harness import values
from harness.flow import Flow
from harness.writers import Table

OLD = """
CREATE TABLE public.artist (id int PRIMARY KEY, name text);
CREATE TABLE public.album (
    id int PRIMARY KEY, artist int REFERENCES public.artist ON DELETE CASCADE, title text);
CREATE TABLE public.track (
    id int PRIMARY KEY, album int REFERENCES public.album ON DELETE CASCADE, title text);
INSERT INTO public.artist SELECT i, 'artist ' || i FROM generate_series(1, 200) i;
INSERT INTO public.album SELECT i, i % 200 + 1, 'album ' || i FROM generate_series(1, 2000) i;
INSERT INTO public.track SELECT i, i % 2000 + 1, 'track ' || i FROM generate_series(1, 20000) i;
"""

# children first, so that the order of creation is no help
NEW = """
CREATE SCHEMA app;
CREATE TABLE app.track (track_id bigint PRIMARY KEY, album_id bigint, title text);
CREATE TABLE app.album (album_id bigint PRIMARY KEY, artist_id bigint, title text);
CREATE TABLE app.artist (artist_id bigint PRIMARY KEY, name text);
ALTER TABLE app.track ADD FOREIGN KEY (album_id) REFERENCES app.album;
ALTER TABLE app.album ADD FOREIGN KEY (artist_id) REFERENCES app.artist;
"""

FLOWS = [
    Flow("public.track", "app.track", key=("track_id",), select="""
        SELECT id::bigint AS track_id, album::bigint AS album_id, title FROM old
    """),
    Flow("public.album", "app.album", key=("album_id",), select="""
        SELECT id::bigint AS album_id, artist::bigint AS artist_id, title FROM old
    """),
    Flow("public.artist", "app.artist", key=("artist_id",), select="""
        SELECT id::bigint AS artist_id, name FROM old
    """),
]

TABLES = [
    Table("public.artist", {"id": values.up_to(250)}, {"name": values.text}),
    Table("public.album", {"id": values.up_to(2500)},
          {"artist": values.up_to(250), "title": values.text}),
    Table("public.track", {"id": values.up_to(25000)},
          {"album": values.up_to(2500), "title": values.text}),
]


def scenario(s):
    s.source.run(OLD)
    s.target.run(NEW)
    s.follow(s.migration(FLOWS), TABLES)
