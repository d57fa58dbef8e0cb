"""The device's client and its photos against a scripted cloud: which one is sent again, and which is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from heliograph.edge.client import DeviceClient
from heliograph.protocol.events import CropAnnounced, Event, ImageFinished
from heliograph.question import Question
from heliograph.types import EncodedImage
from scripted_cloud import PHOTO, Cloud, FakeDevice, final_at_the_end, run, stream


def test_second_question_about_the_same_photo_costs_no_photo(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "photo.png"
        PHOTO.save(path)
        cloud, device = Cloud(final_at_the_end()), FakeDevice(stream(5))
        async with DeviceClient(cloud.open, device) as client:
            first = await client.ask(path, "colour?", strategy="jpeg")
            second = await client.ask(str(path), "and now?", strategy="jpeg")
            assert (first.payload_bytes, second.payload_bytes) == (501, 0)
            assert second.answer == "again"
            assert second.encode_ms == 0
            assert second.wire_bytes < 40
            assert (device.encodings, len(cloud.connections)) == (1, 1)
            Image.new("RGB", (9, 9)).save(path)
            third = await client.ask(path, "changed?", strategy="jpeg")
            assert third.payload_bytes == 501

    run(test)


def test_another_photo_of_the_same_name_size_and_time_is_sent(tmp_path: Path) -> None:
    time_ns = 1_700_000_000_000_000_000

    def take(path: Path, colour: tuple[int, int, int]) -> Path:
        Image.new("RGB", (8, 8), colour).save(path, "BMP")
        os.utime(path, ns=(time_ns, time_ns))
        return path

    async def test() -> None:
        path = take(tmp_path / "latest.bmp", (255, 0, 0))
        cloud, device = Cloud(final_at_the_end()), FakeDevice(stream(5))
        async with DeviceClient(cloud.open, device) as client:
            assert (await client.ask(path, "colour?", strategy="jpeg")).payload_bytes == 501
            take(path, (0, 0, 255))
            assert (await client.ask(path, "and now?", strategy="jpeg")).payload_bytes == 501
            os.replace(take(tmp_path / "next.bmp", (0, 255, 0)), path)
            assert (await client.ask(path, "and now?", strategy="jpeg")).payload_bytes == 501
            assert (await client.ask(path, "and still?", strategy="jpeg")).payload_bytes == 0
            os.replace(take(tmp_path / "next.bmp", (255, 0, 0)), path)
            assert (await client.ask(path, "and again?", strategy="jpeg")).payload_bytes == 0

    run(test)


def test_a_photo_that_changes_while_it_is_encoded_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    class Overwritten(FakeDevice):
        def encode(self, photo: Image.Image, *arguments: object) -> EncodedImage:
            Image.new("RGB", (8, 8), (0, 0, 255)).save(path, "BMP")
            return super().encode(photo, *arguments)

    path = tmp_path / "latest.bmp"

    async def test() -> None:
        Image.new("RGB", (8, 8), (255, 0, 0)).save(path, "BMP")
        cloud = Cloud(final_at_the_end())
        async with DeviceClient(cloud.open, Overwritten(stream(5))) as client:
            assert (await client.ask(path, "colour?", strategy="jpeg")).payload_bytes == 501
            Image.new("RGB", (8, 8), (255, 0, 0)).save(path, "BMP")
            assert (await client.ask(path, "colour?", strategy="jpeg")).payload_bytes == 501

    run(test)


def test_the_note_about_a_cut_photo_reaches_the_report(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "photo.jpg"
        Image.effect_noise((64, 64), 50).convert("RGB").save(path, quality=90)
        path.write_bytes(path.read_bytes()[:-900])
        async with DeviceClient(Cloud(final_at_the_end()).open, FakeDevice(stream(5))) as client:
            report = await client.ask(path, "colour?", strategy="jpeg")
        assert len(report.photo_notes) == 1
        assert "ends early" in report.photo_notes[0]

    run(test)


def test_more_photos_than_the_cloud_holds() -> None:
    async def test() -> None:
        cloud = Cloud(final_at_the_end())
        photos = [Image.new("RGB", (8, 8)) for _ in range(70)]
        async with DeviceClient(cloud.open, FakeDevice(stream(1))) as client:
            for photo in photos:
                assert (await client.ask(photo, "colour?", strategy="jpeg")).payload_bytes == 101
            assert (await client.ask(photos[-1], "colour?", strategy="jpeg")).payload_bytes == 0
            assert (await client.ask(photos[0], "colour?", strategy="jpeg")).payload_bytes == 101

    run(test)


@pytest.mark.parametrize("replaced", [False, True])
def test_no_region_is_cut_from_another_photo_than_was_asked_about(replaced: bool, tmp_path: Path) -> None:
    path = tmp_path / "latest.bmp"

    async def behave(cloud: Cloud, event: Event) -> None:
        match event:
            case ImageFinished() if len(cloud.of(ImageFinished)) == 1:
                if replaced:
                    Image.new("RGB", (8, 8), (0, 0, 255)).save(path)
                cloud.session.send_region(cloud.question_id, (0, 0, 512, 512))
            case ImageFinished() | CropAnnounced(_, None):
                cloud.final()

    async def test() -> None:
        Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
        async with DeviceClient(Cloud(behave).open, FakeDevice(stream(5))) as client:
            report = await client.ask(path, Question("colour?", region="always"), strategy="jpeg")
        assert report.regions_sent == (0 if replaced else 1)

    run(test)
